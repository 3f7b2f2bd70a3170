package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/probemesh/probemesh/coordinator/admin"
	"github.com/probemesh/probemesh/pkg/catalog"
	"github.com/probemesh/probemesh/pkg/command"
)

// vantageList is where the probes of a mesh come from.
type vantageList struct {
	addresses []netip.Addr // each once, in the catalog's order
	missing   []string     // in words: hosts whose address is not known
}

// formats write a list for the programs that would otherwise take vantages for attackers.
var formats = map[string]func(io.Writer, vantageList){
	"plain": writePlain, "nft": writeNft, "postfix": writePostfix, "fail2ban": writeFail2ban,
}

const (
	formatWords    = "nft, postfix, fail2ban or plain"
	vantageResolve = 5 * time.Second // for all names together
)

func newVantagesCommand() *cobra.Command {
	var data, format string
	cmd := &cobra.Command{
		Use:   "vantages",
		Short: "Print the addresses that probes come from, for a firewall or a mail server to let in",
		Long: "Several vantages that knock at one mail server look like an attack to fail2ban and postscreen. This prints the addresses\n" +
			"of all hosts of the catalog in force: as sets for nftables, as a postscreen_access.cidr table for Postfix, as an ignoreip\n" +
			"line for fail2ban, or plain. Names are resolved; hosts whose address is not known are told in comments.",
		Example: "  coordinator vantages --format nft | nft -f -\n" +
			"  coordinator vantages --format postfix >/etc/postfix/postscreen_access.cidr\n" +
			"  coordinator vantages --format fail2ban >/etc/fail2ban/jail.d/probemesh.local",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			write, known := formats[format]
			if !known {
				return command.Usage(fmt.Errorf("--format %s: write %s", format, formatWords))
			}
			state, err := admin.NewClient(data).State(cmd.Context(), time.Time{})
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), vantageResolve)
			defer cancel()
			write(cmd.OutOrStdout(), listVantages(ctx, state.Catalog, net.DefaultResolver.LookupNetIP))
			return nil
		},
	}
	dataFlag(cmd, &data)
	cmd.Flags().StringVar(&format, "format", "plain", formatWords)
	return cmd
}

// listVantages finds the addresses of all hosts: any of them may be a vantage.
func listVantages(ctx context.Context, c *catalog.Catalog, lookup func(ctx context.Context, network, name string) ([]netip.Addr, error)) (l vantageList) {
	for i := range c.Hosts {
		host := &c.Hosts[i]
		if len(host.Addresses) == 0 {
			l.missing = append(l.missing, host.Name+" has no address in the catalog: add the one that its probes come from")
		}
		for _, address := range host.Addresses {
			if ip, err := netip.ParseAddr(address); err == nil {
				l.add(ip)
				continue
			}
			found, err := lookup(ctx, "ip", address)
			if err != nil {
				l.missing = append(l.missing, fmt.Sprintf("%s is %s, which cannot be resolved: add its address", host.Name, address))
			}
			for _, ip := range found {
				l.add(ip)
			}
		}
	}
	return l
}

func (l *vantageList) add(ip netip.Addr) {
	if ip = ip.Unmap().WithZone(""); !slices.Contains(l.addresses, ip) {
		l.addresses = append(l.addresses, ip)
	}
}

// family joins the addresses of one family.
func (l *vantageList) family(v4 bool) string {
	var words []string
	for _, ip := range l.addresses {
		if ip.Is4() == v4 {
			words = append(words, ip.String())
		}
	}
	return strings.Join(words, ", ")
}

// comments tell what the list lacks. All four formats take a line that begins with #.
func (l *vantageList) comments(out io.Writer) {
	fmt.Fprintln(out, "# Where the probes of the mesh come from: the addresses of the hosts in the catalog.")
	for _, words := range l.missing {
		fmt.Fprintln(out, "#", words)
	}
}

func writePlain(out io.Writer, l vantageList) {
	l.comments(out)
	for _, ip := range l.addresses {
		fmt.Fprintln(out, ip)
	}
}

// writeNft fills two sets of a table of their own. Rules beside them in that table stay when it is loaded again.
func writeNft(out io.Writer, l vantageList) {
	l.comments(out)
	fmt.Fprintln(out, "# A rule of this table may say: ip saddr @vantages4 accept")
	fmt.Fprintln(out, "add table inet probemesh")
	for _, set := range []struct{ name, kind, addresses string }{
		{"vantages4", "ipv4_addr", l.family(true)}, {"vantages6", "ipv6_addr", l.family(false)},
	} {
		fmt.Fprintf(out, "add set inet probemesh %s { type %s; }\nflush set inet probemesh %s\n", set.name, set.kind, set.name)
		if set.addresses != "" {
			fmt.Fprintf(out, "add element inet probemesh %s { %s }\n", set.name, set.addresses)
		}
	}
}

// writePostfix writes a table for postscreen_access_list, as cidr_table(5).
func writePostfix(out io.Writer, l vantageList) {
	l.comments(out)
	fmt.Fprintln(out, "# main.cf: postscreen_access_list = permit_mynetworks, cidr:/etc/postfix/postscreen_access.cidr")
	for _, ip := range l.addresses {
		fmt.Fprintf(out, "%s/%d permit\n", ip, ip.BitLen())
	}
}

// writeFail2ban writes a file for jail.d. The line replaces any other, so it keeps what fail2ban ignores by itself.
func writeFail2ban(out io.Writer, l vantageList) {
	l.comments(out)
	words := []string{"127.0.0.1/8", "::1"}
	for _, ip := range l.addresses {
		words = append(words, ip.String())
	}
	fmt.Fprintf(out, "[DEFAULT]\nignoreip = %s\n", strings.Join(words, " "))
}
