"""Uploaded photos and finished videos: checked, re-encoded, masked, and served by signed URLs."""
