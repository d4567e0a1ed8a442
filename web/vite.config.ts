import { defineConfig } from 'vite';
import { compressPlugin } from './build/compress';
import { inlinePlugin, TARGET } from './build/inline';

export default defineConfig({
  appType: 'mpa',
  plugins: [inlinePlugin(), compressPlugin()],
  build: {
    target: TARGET,
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    rollupOptions: {
      input: ['index.html', 'watch.html'],
    },
  },
});
