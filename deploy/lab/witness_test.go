package lab

type witness struct{ m *mesh }

func newWitness(m *mesh) *witness      { return &witness{m} }
func (w *witness) look()               {}
func (w *witness) waitUntilDelivered() {}
func (w *witness) checkStream()        {}
