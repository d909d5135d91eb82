"""The toolbox: folders of descriptors, indexed, searchable, approved by content."""
