// Reads the layers of an image with the libraries that define their formats: eStargz is opened and every chunk of it
// verified; zstd:chunked is unpacked chunk by chunk into a folder, from its table alone.
//
//	upstream LAYOUT FOLDER
//
// It needs Debian's golang, golang-github-containerd-stargz-snapshotter-dev and golang-github-containers-storage-dev;
// bench/image/upstream.sh builds and runs it.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/containerd/stargz-snapshotter/estargz"
	"github.com/containers/storage"
	"github.com/containers/storage/pkg/archive"
	"github.com/containers/storage/pkg/chunked"
	"github.com/containers/storage/pkg/reexec"
	"github.com/containers/storage/types"
	digest "github.com/opencontainers/go-digest"
)

type descriptor struct {
	Digest      digest.Digest
	Size        int64
	Annotations map[string]string
	Layers      []descriptor
	Manifests   []descriptor
}

func main() {
	if reexec.Init() {
		return
	}
	layout, folder := os.Args[1], os.Args[2]
	var index, manifest descriptor
	read(filepath.Join(layout, "index.json"), &index)
	read(blob(layout, index.Manifests[0]), &manifest)
	for number, layer := range manifest.Layers {
		file, err := os.Open(blob(layout, layer))
		check(err)
		switch {
		case layer.Annotations[estargz.TOCJSONDigestAnnotation] != "":
			verify(file, layer)
		case layer.Annotations["io.github.containers.zstd-chunked.manifest-checksum"] != "":
			unpack(file, layer, filepath.Join(folder, fmt.Sprint(number)), folder)
		default:
			fmt.Println(layer.Digest, "has no table")
		}
	}
}

func read(path string, into interface{}) {
	bytes, err := os.ReadFile(path)
	check(err)
	check(json.Unmarshal(bytes, into))
}

func blob(layout string, of descriptor) string {
	return filepath.Join(layout, "blobs/sha256", of.Digest.Encoded())
}

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// verify checks the table against its annotation, and each chunk against the table.
func verify(file *os.File, layer descriptor) {
	blob := io.NewSectionReader(file, 0, layer.Size)
	reader, err := estargz.Open(blob)
	check(err)
	verifier, err := reader.VerifyTOC(digest.Digest(layer.Annotations[estargz.TOCJSONDigestAnnotation]))
	check(err)
	root, ok := reader.Lookup("")
	if !ok {
		log.Fatal("no root")
	}
	files, chunks := 0, 0
	var walk func(entry *estargz.TOCEntry)
	walk = func(entry *estargz.TOCEntry) {
		entry.ForeachChild(func(name string, child *estargz.TOCEntry) bool {
			if child.Type == "reg" && child.Size > 0 {
				files++
				contents, err := reader.OpenFile(child.Name)
				check(err)
				for offset := int64(0); offset < child.Size; {
					chunk, ok := reader.ChunkEntryForOffset(child.Name, offset)
					if !ok {
						log.Fatalf("%s: no chunk at %d", child.Name, offset)
					}
					sum, err := verifier.Verifier(chunk)
					check(err)
					_, err = io.Copy(sum, io.NewSectionReader(contents, chunk.ChunkOffset, chunk.ChunkSize))
					check(err)
					if !sum.Verified() {
						log.Fatalf("%s: wrong digest at %d", child.Name, offset)
					}
					offset += chunk.ChunkSize
					chunks++
				}
			}
			walk(child)
			return true
		})
	}
	walk(root)
	_, marked := reader.Lookup(estargz.PrefetchLandmark)
	fmt.Printf("%s: eStargz, %d files, %d chunks, prefetch landmark: %v\n", layer.Digest, files, chunks, marked)
}

// source serves ranges of a layer, as a registry would.
type source struct{ file *os.File }

func (s source) GetBlobAt(ranges []chunked.ImageSourceChunk) (chan io.ReadCloser, chan error, error) {
	streams, errs := make(chan io.ReadCloser), make(chan error)
	go func() {
		defer close(streams)
		defer close(errs)
		for _, r := range ranges {
			streams <- io.NopCloser(io.NewSectionReader(s.file, int64(r.Offset), int64(r.Length)))
		}
	}()
	return streams, errs, nil
}

// unpack lets the library put the layer into a folder. Debian's version knows the annotations by an earlier name.
func unpack(file *os.File, layer descriptor, folder, scratch string) {
	annotations := map[string]string{}
	for key, value := range layer.Annotations {
		annotations[strings.Replace(key, "io.github.containers.", "io.containers.", 1)] = value
	}
	store, err := storage.GetStore(types.StoreOptions{
		RunRoot: filepath.Join(scratch, "run"), GraphRoot: filepath.Join(scratch, "graph"), GraphDriverName: "vfs",
	})
	check(err)
	differ, err := chunked.GetDiffer(context.Background(), store, layer.Size, annotations, source{file})
	check(err)
	check(os.MkdirAll(folder, 0o755))
	_, err = differ.ApplyDiff(folder, &archive.TarOptions{})
	check(err)
	fmt.Printf("%s: zstd:chunked, unpacked into %s\n", layer.Digest, folder)
}
