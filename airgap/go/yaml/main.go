// Serves the official language host of Pulumi YAML to an engine that is newer than it: with the one call it lacks, and
// with the engine's own loader of schemas, for the older engine's would have to start packages itself.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/pulumi/pulumi-yaml/pkg/server"
	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
)

type host struct{ pulumirpc.LanguageRuntimeServer }

// Link has nothing to do: a YAML program names a package, and imports nothing.
func (host) Link(context.Context, *pulumirpc.LinkRequest) (*pulumirpc.LinkResponse, error) {
	return &pulumirpc.LinkResponse{}, nil
}

func main() {
	root := flag.String("root", "", "folder of the program") // the engine gives it, and says it again in each call
	flag.Parse()
	engine := flag.Arg(0)
	if err := serve(engine); err != nil {
		fmt.Fprintf(os.Stderr, "language host of YAML (program %q): %v\n", *root, err)
		os.Exit(1)
	}
}

// serve ends with the engine, by a signal or when it no longer answers.
func serve(engine string) error {
	alive, end := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer end()
	if engine != "" {
		if err := rpcutil.Healthcheck(alive, engine, 5*time.Minute, end); err != nil {
			return err
		}
	}
	ended := make(chan bool)
	go func() {
		<-alive.Done()
		close(ended)
	}()
	serving, err := rpcutil.ServeWithOptions(rpcutil.ServeOptions{
		Cancel: ended,
		Init: func(to *grpc.Server) error {
			pulumirpc.RegisterLanguageRuntimeServer(to, host{server.NewLanguageHost(engine, "", true)})
			return nil
		},
	})
	if err != nil {
		return err
	}
	fmt.Println(serving.Port) // where the engine finds us
	return <-serving.Done
}
