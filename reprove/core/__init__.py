"""What Reprove means by its words: pure values and functions. Its law is in README.md."""
