package server

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	_ "embed"
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
	"text/template"
	"time"

	"github.com/probemesh/probemesh/pkg/bus"
	"github.com/probemesh/probemesh/pkg/regularfile"
)

// Node is one server of a cluster of its own: a stock nats-server.
type Node struct {
	Name string // nats-1 and so on
	Host string // address or DNS name at which agents and the other nodes reach it
	Port int    // for agents; the other nodes connect to RoutePort
}

// RoutePort is the port for the other nodes: 6222 for the default 4222.
func (n Node) RoutePort() int { return n.Port + routeAbove }

const (
	defaultPort = 4222
	routeAbove  = 2000
	nodesMax    = 5 // a stream has at most five replicas
)

// ParseNodes parses the nodes' addresses, each with or without a port.
func ParseNodes(addresses []string) ([]Node, error) {
	if len(addresses) != 3 && len(addresses) != nodesMax {
		return nil, fmt.Errorf("%d nodes: a cluster has 3 or 5, and works while more than half of them do", len(addresses))
	}
	nodes := make([]Node, len(addresses))
	for i, address := range addresses {
		n := Node{Name: fmt.Sprintf("nats-%d", i+1), Host: address, Port: defaultPort}
		if host, port, err := net.SplitHostPort(address); err == nil {
			n.Host = host
			if n.Port, err = strconv.Atoi(port); err != nil || n.Port < 1 || n.RoutePort() > 65535 {
				return nil, fmt.Errorf("node %q: the port is a number from 1 to %d", address, 65535-routeAbove)
			}
		}
		if n.Host == "" || bytes.ContainsAny([]byte(n.Host), "\"/ \n") {
			return nil, fmt.Errorf("node %q: write it as nats-1.example.net or 192.0.2.1:4222", address)
		}
		nodes[i] = n
	}
	return nodes, nil
}

// NodeFiles are the configuration files of one node, by file name.
type NodeFiles struct {
	Node
	Files map[string][]byte
}

// URLs returns the nodes' URLs in the form of `serve --nats`.
func URLs(nodes []NodeFiles) string {
	urls := make([]string, len(nodes))
	for i, n := range nodes {
		urls[i] = "tls://" + net.JoinHostPort(n.Host, strconv.Itoa(n.Port))
	}
	return strings.Join(urls, ",")
}

// The files of a node. The configuration and the key are secret.
const (
	ConfigFile      = "nats.conf"
	certificateFile = "server.pem"
	keyFile         = "server.key"
	caFile          = "ca.pem"
)

//go:embed nats.conf.tmpl
var configTemplate string

// ClusterFiles creates what each node needs to serve the coordinator of the directory: the configuration, and a
// certificate that is valid as long as the mesh's CA. at returns the directory in which a node will find its files.
func ClusterFiles(dir string, nodes []Node, at func(Node) string) ([]NodeFiles, error) {
	ca, err := openAuthority(filepath.Join(dir, "ca"))
	if err != nil {
		return nil, err
	}
	t, err := openTrust(filepath.Join(dir, "trust"))
	if err != nil {
		return nil, err
	}
	out := make([]NodeFiles, len(nodes))
	for i, n := range nodes {
		config, err := t.nodeConfig(n, nodes, at(n))
		if err != nil {
			return nil, err
		}
		certificate, key, err := ca.issueNode(n, time.Now())
		if err != nil {
			return nil, err
		}
		out[i] = NodeFiles{n, map[string][]byte{ConfigFile: config, certificateFile: certificate, keyFile: key,
			caFile: ca.pem}}
	}
	return out, nil
}

// nodeConfig returns the configuration of a node.
func (t *trust) nodeConfig(n Node, nodes []Node, at string) ([]byte, error) {
	operator, err := t.operator.Encode(t.keys["operator"])
	if err != nil {
		return nil, fmt.Errorf("sign the operator: %w", err)
	}
	accounts := map[string]string{}
	for _, name := range accountNames {
		signed, _, err := regularfile.Read(t.accountFile(name), accountMax)
		if err != nil {
			return nil, fmt.Errorf("read the account %s: %w", name, err)
		}
		accounts[t.public[name]] = string(signed)
	}
	text, err := template.New(ConfigFile).Funcs(template.FuncMap{"join": func(host string, port int) string {
		return net.JoinHostPort(host, strconv.Itoa(port))
	}}).Parse(configTemplate)
	if err != nil {
		return nil, err
	}
	listen := n.Host // a DNS name may not resolve on the node itself
	if net.ParseIP(listen) == nil {
		listen = "0.0.0.0"
	}
	var buffer bytes.Buffer
	err = text.Execute(&buffer, map[string]any{
		"Node": n, "Nodes": nodes, "Listen": listen, "At": at,
		"Operator": operator, "System": t.public["system"], "Accounts": accounts, "Sentinel": t.sentinel,
		"Payload": bus.PayloadMax, "ControlLine": controlLine, "Connections": connections, "Resolve": resolveEvery.String(),
		"Waiting": waitingMax,
	})
	return buffer.Bytes(), err
}

// issueNode creates the certificate and key of a node, in PEM. Nodes are also clients of one another.
func (a *authority) issueNode(n Node, now time.Time) (certificate, secret []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("create a node's certificate: %w", err)
	}
	template, err := certificateTemplate(now, n.Name)
	if err != nil {
		return nil, nil, err
	}
	template.NotAfter = a.certificate.NotAfter // nobody renews a node's certificate
	// Agents and coordinators verify ServerName; the nodes verify one another by their addresses.
	template.DNSNames = []string{bus.ServerName}
	if ip := net.ParseIP(n.Host); ip != nil {
		template.IPAddresses = []net.IP{ip}
	} else {
		template.DNSNames = append(template.DNSNames, n.Host)
	}
	template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	der, err := x509.CreateCertificate(rand.Reader, template, a.certificate, &key.PublicKey, a.key)
	if err != nil {
		return nil, nil, fmt.Errorf("create a node's certificate: %w", err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, nil, fmt.Errorf("create a node's certificate: %w", err)
	}
	// With the CA, for agents that join and know only its fingerprint.
	certificate = append(encodePEM("CERTIFICATE", der), a.pem...)
	return certificate, encodePEM("EC PRIVATE KEY", private), nil
}
