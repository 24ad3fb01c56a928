// Go's server and client: `interop server PORT`, or `interop client BASE`, cases as JSON on standard input and
// their outcomes as JSON on standard output.
package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

const text = "text/plain; charset=utf-8"

var left sync.Map

func plain(w http.ResponseWriter, status int, body string) {
	w.Header().Set("Content-Type", text)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	io.WriteString(w, body)
}

func answer(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/hello":
		w.Header().Set("X-App", "1")
		w.Header().Add("Set-Cookie", "a=1")
		w.Header().Add("Set-Cookie", "b=2; Path=/")
		plain(w, 200, "hello")
	case "/empty":
		w.Header().Set("X-App", "1")
		w.WriteHeader(204)
	case "/same":
		w.Header().Set("ETag", `"x"`)
		w.WriteHeader(304)
	case "/moved":
		w.Header().Set("Location", "/hello")
		plain(w, 302, "moved")
	case "/broken":
		plain(w, 503, "broken")
	case "/large":
		plain(w, 200, strings.Repeat("0123456789abcdef", 262144))
	case "/refuse":
		w.Header().Set("Connection", "close")
		plain(w, 413, "too much")
	case "/left":
		seen := "0"
		if _, found := left.Load(r.URL.RawQuery); found {
			seen = "1"
		}
		plain(w, 200, seen)
	case "/hang":
		<-r.Context().Done()
		left.Store(r.URL.RawQuery, true)
	case "/chunks":
		w.Header().Set("Content-Type", text)
		for number := 0; number < 4; number++ {
			io.WriteString(w, strings.Repeat(fmt.Sprintf("piece %d ", number), 10000))
			w.(http.Flusher).Flush()
			time.Sleep(20 * time.Millisecond)
		}
	default:
		if r.URL.Path == "/slow" {
			time.Sleep(300 * time.Millisecond)
		}
		hash := sha256.New()
		count, _ := io.Copy(hash, r.Body)
		seen, _ := json.Marshal(map[string]any{"method": r.Method, "target": r.RequestURI, "bytes": count,
			"type": r.Header.Get("Content-Type"), "sha256": hex.EncodeToString(hash.Sum(nil))})
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", strconv.Itoa(len(seen)))
		w.Write(seen)
	}
}

type ask struct {
	Path, Method                        string
	Headers                             map[string]string
	Size                                int
	Chunked, Expect, Follow, Twice, Old bool
	Seconds                             float64
}

type outcome struct {
	Unsupported bool     `json:"unsupported,omitempty"`
	Error       string   `json:"error,omitempty"`
	Status      int      `json:"status"`
	Fields      [][2]any `json:"fields"`
	Bytes       int      `json:"bytes"`
	Sha256      string   `json:"sha256"`
	Reused      *bool    `json:"reused"`
}

func request(client *http.Client, base string, a ask) outcome {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(a.Seconds*float64(time.Second)))
	defer cancel()
	reused := false
	trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { reused = info.Reused }}
	var body io.Reader
	if a.Size >= 0 {
		body = bytes.NewReader(bytes.Repeat([]byte("x"), a.Size))
		if a.Chunked {
			body = struct{ io.Reader }{body} // of a length nobody knows
		}
	}
	r, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), a.Method, base+a.Path, body)
	if err != nil {
		return outcome{Error: err.Error()}
	}
	for name, value := range a.Headers {
		r.Header.Set(name, value)
		r.Close = r.Close || name == "Connection" && value == "close"
	}
	if a.Expect {
		r.Header.Set("Expect", "100-continue")
	}
	response, err := client.Do(r)
	if errors.Is(err, context.DeadlineExceeded) {
		return outcome{Error: "gave up"}
	}
	if err != nil {
		return outcome{Error: err.Error()}
	}
	defer response.Body.Close()
	read, err := io.ReadAll(response.Body)
	if err != nil {
		return outcome{Error: err.Error()}
	}
	sum := sha256.Sum256(read)
	fields := [][2]any{}
	for name, values := range response.Header {
		fields = append(fields, [2]any{name, values})
	}
	found := outcome{Status: response.StatusCode, Fields: fields, Bytes: len(read), Sha256: hex.EncodeToString(sum[:])}
	if a.Twice {
		found.Reused = &reused
	}
	return found
}

func askAll(base string) {
	var asks []ask
	if err := json.NewDecoder(os.Stdin).Decode(&asks); err != nil {
		panic(err)
	}
	outcomes := []outcome{}
	transport := &http.Transport{ExpectContinueTimeout: 10 * time.Second, DisableCompression: true}
	for _, a := range asks {
		client := &http.Client{Transport: transport}
		if !a.Follow {
			client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		}
		if a.Old {
			outcomes = append(outcomes, outcome{Unsupported: true})
			continue
		}
		found := request(client, base, a)
		if a.Twice {
			found = request(client, base, a)
		}
		outcomes = append(outcomes, found)
	}
	json.NewEncoder(os.Stdout).Encode(outcomes)
}

func main() {
	if os.Args[1] == "server" {
		panic(http.ListenAndServe("127.0.0.1:"+os.Args[2], http.HandlerFunc(answer)))
	}
	askAll(os.Args[2])
}
