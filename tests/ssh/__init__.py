"""The SSH command line parser, compared with `ssh -G`."""
