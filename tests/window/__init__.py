"""The extension in a real Blender window, pressed like a person would; and the pictures of the manual."""
