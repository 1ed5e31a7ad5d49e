"""The four functions: seconds and money of edge and cloud."""
