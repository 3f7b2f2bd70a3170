package command

// BecomeOwner does nothing on Windows: files there take their rights from the directory.
func BecomeOwner(string) error { return nil }
