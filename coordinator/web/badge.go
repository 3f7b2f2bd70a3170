package web

import (
	"fmt"
	"html"
	"unicode/utf8"
)

// badgeSVG has the indexed arguments: width, label, word, width left, width right, color, centre left, centre right.
const badgeSVG = `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="22" role="img"` +
	` aria-label="%[2]s: %[3]s"><title>%[2]s: %[3]s</title><rect width="%[4]d" height="22" fill="#3b4652"/>` +
	`<rect x="%[4]d" width="%[5]d" height="22" fill="%[6]s"/>` +
	`<g fill="#fff" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11" text-anchor="middle">` +
	`<text x="%[7]d" y="15">%[2]s</text><text x="%[8]d" y="15">%[3]s</text></g></svg>`

// BadgeSVG is a status as a picture for other pages: a label and the word of a look in its color.
func BadgeSVG(label string, look Look) string {
	const letter, padding = 7, 16 // pixels; text is not measured, and 7 is about the width of an 11 px letter
	left := letter*utf8.RuneCountInString(label) + padding
	right := letter*utf8.RuneCountInString(look.Word) + padding
	return fmt.Sprintf(badgeSVG, left+right, html.EscapeString(label), html.EscapeString(look.Word), left, right,
		Color(look.Class), left/2, left+right/2)
}
