package spool

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
)

// A record is a header, an id and a payload. All numbers are little-endian:
//
//	 0 magic       4 CRC32C of 8..56, then of the salt   8 CRC32C of the body, then of the salt
//	12 body bytes 16 index  24 wall clock, µs  32 uptime, ns  40 boot  48 count  52 kind  53 id bytes  54 zero
//
// The header has a checksum of its own, so that a reader can trust the length before it reads that many bytes. A mark
// is a record whose body is what is done (see ranges.encode), and whose index is the next one that Append gives.
const (
	headerSize = 56
	kindRecord = 1
	kindMark   = 2
	indexMax   = 1 << 62 // beyond any real index: a larger one is damaged
)

var (
	magic      = []byte{0xf5, 'p', 'm', 0xc1} // 0xf5 occurs in no UTF-8 text, such as payloads
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
	errDamaged = errors.New("damaged")
)

type header struct {
	index        uint64
	wall, uptime int64
	boot         uint64
	count        uint32
	kind, id     uint8
}

// append appends a record to encoded ones. seal adds its checksums.
func (h header) append(to []byte, id string, payload []byte) []byte {
	var b [headerSize]byte
	copy(b[:], magic)
	binary.LittleEndian.PutUint32(b[12:], uint32(len(id)+len(payload)))
	binary.LittleEndian.PutUint64(b[16:], h.index)
	binary.LittleEndian.PutUint64(b[24:], uint64(h.wall))
	binary.LittleEndian.PutUint64(b[32:], uint64(h.uptime))
	binary.LittleEndian.PutUint64(b[40:], h.boot)
	binary.LittleEndian.PutUint32(b[48:], h.count)
	b[52], b[53] = h.kind, h.id
	return append(append(append(to, b[:]...), id...), payload...)
}

// seal writes the checksums of consecutive records.
func seal(data []byte, salt uint32) {
	for len(data) > 0 {
		end := headerSize + int(binary.LittleEndian.Uint32(data[12:]))
		binary.LittleEndian.PutUint32(data[8:], checksum(data[headerSize:end], salt))
		binary.LittleEndian.PutUint32(data[4:], checksum(data[8:headerSize], salt))
		data = data[end:]
	}
}

func checksum(data []byte, salt uint32) uint32 {
	return crc32.Update(crc32.Checksum(data, castagnoli), castagnoli, binary.LittleEndian.AppendUint32(nil, salt))
}

// parse reads the record at the beginning of data. ok is false where it is incomplete or damaged.
func parse(data []byte, salt uint32) (h header, body []byte, ok bool) {
	if len(data) < headerSize || !bytes.HasPrefix(data, magic) {
		return h, nil, false
	}
	if binary.LittleEndian.Uint32(data[4:]) != checksum(data[8:headerSize], salt) {
		return h, nil, false
	}
	size := binary.LittleEndian.Uint32(data[12:])
	if uint64(size) > uint64(len(data)-headerSize) {
		return h, nil, false
	}
	body = data[headerSize : headerSize+int(size)]
	h = header{
		index: binary.LittleEndian.Uint64(data[16:]), wall: int64(binary.LittleEndian.Uint64(data[24:])),
		uptime: int64(binary.LittleEndian.Uint64(data[32:])), boot: binary.LittleEndian.Uint64(data[40:]),
		count: binary.LittleEndian.Uint32(data[48:]), kind: data[52], id: data[53],
	}
	return h, body, int(h.id) <= len(body) && binary.LittleEndian.Uint32(data[8:]) == checksum(body, salt)
}

// walk visits every undamaged record and mark. After damage it searches for the next one.
func walk(data []byte, salt uint32, visit func(offset int, h header, body []byte)) {
	for at := 0; at < len(data); {
		if h, body, ok := parse(data[at:], salt); ok {
			visit(at, h, body)
			at += headerSize + len(body)
			continue
		}
		next := bytes.Index(data[at+1:], magic)
		if next < 0 {
			return
		}
		at += 1 + next
	}
}
