// Package docs is the manual, as Markdown. Its tests check what the manual claims: every command runs, every example of
// configuration is valid, every key is documented, and every link leads somewhere.
package docs
