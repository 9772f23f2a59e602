"""Studies: trained networks of several variants, probed, kept for figures, and compared with the paper's claims."""
