import { defineConfig } from 'vite';
import { compressPlugin } from './build/compress';
import { inlinePlugin, TARGET } from './build/inline';
import { laterPlugin } from './build/later';

export default defineConfig({
  appType: 'mpa',
  plugins: [inlinePlugin(), laterPlugin(), compressPlugin()],
  build: {
    target: TARGET,
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    // build/compress.ts checks what matters: bytes on the wire.
    chunkSizeWarningLimit: 1_000,
    rollupOptions: {
      input: ['index.html', 'watch.html', 'recordings.html', 'recording.html'],
    },
  },
});
