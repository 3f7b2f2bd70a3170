package gossip

// Kill ends the agent's part without a word, as a power cut would.
func (g *Gossip) Kill() {
	list := g.list.Swap(nil)
	g.Close()
	if list != nil {
		_ = list.Shutdown()
	}
}
