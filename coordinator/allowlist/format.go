package allowlist

import (
	"fmt"
	"io"
	"strings"
)

// Format writes a list for one program.
type Format func(out io.Writer, l List)

// Formats are the formats by name.
var Formats = map[string]Format{
	"plain": writePlain, "nft": writeNft, "postfix": writePostfix, "fail2ban": writeFail2ban,
}

// FormatNames lists the names of Formats for help texts and errors.
const FormatNames = "nft, postfix, fail2ban or plain"

// writeComments says what the list is and what it lacks. All four formats ignore lines that begin with #.
func writeComments(out io.Writer, l List) {
	fmt.Fprintln(out, "# Where the probes of the mesh come from: the addresses of the hosts in the catalog.")
	for _, sentence := range l.Missing {
		fmt.Fprintln(out, "#", sentence)
	}
}

func writePlain(out io.Writer, l List) {
	writeComments(out, l)
	for _, ip := range l.Addresses {
		fmt.Fprintln(out, ip)
	}
}

// writeNft fills two sets in a table of their own. It empties the sets and not the table, so that rules in the table
// survive when the file is loaded again.
func writeNft(out io.Writer, l List) {
	writeComments(out, l)
	fmt.Fprintln(out, "# A rule of this table may say: ip saddr @vantages4 accept")
	fmt.Fprintln(out, "add table inet probemesh")
	for _, set := range []struct{ name, kind, addresses string }{
		{"vantages4", "ipv4_addr", l.family(true)}, {"vantages6", "ipv6_addr", l.family(false)},
	} {
		fmt.Fprintf(out, "add set inet probemesh %s { type %s; }\n", set.name, set.kind)
		fmt.Fprintf(out, "flush set inet probemesh %s\n", set.name)
		if set.addresses != "" {
			fmt.Fprintf(out, "add element inet probemesh %s { %s }\n", set.name, set.addresses)
		}
	}
}

// writePostfix writes a table for postscreen_access_list, as in cidr_table(5).
func writePostfix(out io.Writer, l List) {
	writeComments(out, l)
	fmt.Fprintln(out, "# main.cf: postscreen_access_list = permit_mynetworks, cidr:/etc/postfix/postscreen_access.cidr")
	for _, ip := range l.Addresses {
		fmt.Fprintf(out, "%s/%d permit\n", ip, ip.BitLen())
	}
}

// writeFail2ban writes a file for jail.d. Its ignoreip replaces any other, so the line contains fail2ban's own default
// too.
func writeFail2ban(out io.Writer, l List) {
	writeComments(out, l)
	ignored := []string{"127.0.0.1/8", "::1"}
	for _, ip := range l.Addresses {
		ignored = append(ignored, ip.String())
	}
	fmt.Fprintf(out, "[DEFAULT]\nignoreip = %s\n", strings.Join(ignored, " "))
}
