package page

// Patterns are the patterns of all addresses that a site answers.
func Patterns() []string {
	var out []string
	for _, r := range newSite(Config{}).routes() {
		out = append(out, r.pattern)
	}
	return out
}
