"""Side-by-side measurements of Rushlight and its peers. See bench/README.md."""
