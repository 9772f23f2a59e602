"""Reports: pages of HTML that hold everything they show, to be sent as one file."""
