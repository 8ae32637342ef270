"""What several test folders share: fakes at seams, and makers of tiny models."""
