"""From run folders to figures and tables; reads files on disk only."""
