"""Memory that a model manages by calls: edits that are checked, routing, distilling, rewards, their log."""
