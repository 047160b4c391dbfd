"""Browser tests: the pages in Debian's Chromium, with and without JavaScript."""
