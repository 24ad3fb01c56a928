"""What `--help` says of each command: a line for the list, what it does, how it ends, how it is called."""

from __future__ import annotations

from collections.abc import Mapping

HELP: Mapping[str, str] = {
    "init": """\
make what an environment needs beside its file

Makes a Pulumi stack with a file backend and a passphrase of its own, outside the repository, and says
what the environment's file still lacks. What is there stays. `up` does the same; init is for
secrets, which have to be set before:

            ./stack init existing
            eval "$(./stack env existing)"
            pulumi config set --secret redisPassword

In such a shell Pulumi reads and writes a copy of Pulumi.<env>.yaml, made again from it at each run:
your file stays as you wrote it. A backend or passphrase that you have set is used in place of ours
(PULUMI_BACKEND_URL, PULUMI_CONFIG_PASSPHRASE, PULUMI_CONFIG_PASSPHRASE_FILE).

exit codes: 0 made, or there already; 1 failed; 2 there is no such environment
example:    ./stack init existing""",
    "up": """\
prepare the machine and bring the environment up

Finds or makes tools, images and a Docker daemon, then runs `pulumi up`. What is there is never
made again: a second run changes nothing, and an interrupted one goes on where it stopped. What
others have changed or deleted in the clusters is noticed with --refresh alone. That makes what the
hub begins with in each member again as well, three objects each time: the hub deletes it after use.

exit codes: 0 up, 1 failed, 2 the settings or the command line are wrong, 130 interrupted
examples:   ./stack up dev
            ./stack up dev --refresh""",
    "preview": """\
show what `up` would change, and who would serve whom

Prepares the machine like `up`, then shows the changes without making them. Then, by the code of the
gateways: for the callers in each cluster and those from outside, which clusters would serve what part of
each service's requests, what becomes of it with each cluster lost, and what is otherwise now, as the last
`up` left it. Pods are assumed to be ready where the settings deploy them, and behind exported Services
of others. A service that nobody would serve, and a cluster that would get more than its `capacity`, is a
warning, or an error by `preview` in the settings. --traffic shows this alone, in seconds and without Docker.

exit codes: 0 shown, 1 failed or not allowed, 2 the settings or the command line are wrong
examples:   ./stack preview dev --diff
            ./stack preview dev --traffic --without cluster-1""",
    "demo": """\
walk the article and check every answer

Calls the demo service from a pod of cluster-2: refused without a policy and under Locality, served
under FailOver and ActiveActive; writes an order through one cluster and reads it through the others.
The same by Dapr app-id, and from pods of cluster-1, which runs the service itself and whose app is
killed on the way. Policies change through the program; the configured ones are restored at the end.

exit codes: 0 every answer as expected, 1 some not
example:    ./stack demo dev --json walk.json""",
    "status": """\
show every cluster, and who serves what now

Four tables. Clusters: API server, versions, Dapr, gateway; one that is down is a row that says so.
Exports, imports and policies: their conditions, in the words of who set them when they are not as they
should be. Who serves now: for callers in each cluster, by the names they say, and for those from outside,
which clusters get what part of the next requests, and how many each has answered; with --watch since the
last frame. Between clusters: whether those that send requests to others do so over mutual TLS or plain
HTTP. Below stands what is broken: what the doctor finds without walking the paths of calls, and exports
and policies that the settings have and a cluster has lost.

--cluster, --namespace, --service and --kind choose rows; given together, all of them must fit. --wrong
leaves what is not well: a condition, a gateway that is not ready, an endpoint that is left out, callers
whom nobody serves although their policy lets them out, or who go past a gateway against it. All clusters
are asked at once, and always. Changes nothing.

exit codes: 0 all that is shown is well, 1 something is not, 2 the settings or the command line are wrong
examples:   ./stack status dev --watch
            ./stack status dev --wrong
            ./stack status dev --kind traffic --service 'shop/*' --cluster cluster-2
            ./stack status dev --json""",
    "dashboard": """\
show the platform live, as a page in your browser

Serves a page on loopback and prints its address: clusters, gateways, services, policies and who serves
whom, with requests, errors, latency and ejections of now. Filter by service and namespace; look into a
service for its conditions, why its calls go where they go, and what the doctor says of it. Clusters are
read over connections that stay open. Who does not know the address cannot read the page. Changes nothing.

exit codes: 0 ended by Ctrl-C, 1 failed, 2 the settings or the command line are wrong
examples:   ./stack dashboard dev
            ./stack dashboard dev --port 8642""",
    "doctor": """\
name what is wrong, and what to do about it

Before `up`: settings, Docker, privileges, ports, disk, memory, tools and registries. After `up` also
every cluster, and for each caller and service the first broken hop: DNS, Service, EndpointSlice,
gateway, route, policy, remote gateway, remote route, app pod, Dapr sidecar, state store. What others
made, by kubectl say, is looked at as what it is, and corrected where it was made. Changes nothing.

exit codes: 0 no check fails (warnings may remain), 1 one does
examples:   ./stack doctor dev
            ./stack doctor dev --json""",
    "explain": """\
say why a call goes where it goes, hop by hop

For calls from a cluster to a URL or a Dapr app-id: whether they reach a gateway, the policy in force, the
clusters in the order in which they are asked with weights and health, who gets what part of the next
requests, and what the gateways there make of it. For a past request, by the X-Request-Id that its caller
sent or the request_id of an access log: what the logs of the gateways say that it passed. The gateways
that run are asked. Changes nothing.

exit codes: 0 explained, 1 no such service, app-id or request, or no answer, 2 the command line is wrong
examples:   ./stack explain --from cluster-2 http://nodeapp.dapr-test:3000/ports
            ./stack explain --request-id 3f6c1f7e8a2b""",
    "drill": """\
take a part away, follow calls, put it back, and report

A rehearsal of a failure on what runs. From a pod of its own in each cluster that calls exported services, GET
requests go to them by the Services' own names, at a steady rate. Ten seconds later something is lost:

  CLUSTER               k3d: its containers are killed; one that exists: its gateway has no replicas
  gateway[:CLUSTER]     its gateway has no replicas, and its pods are ended
  app[:CLUSTER]         so for the workloads behind the services that are called
  link[:CLUSTER:CLUSTER]  neither gateway reaches the other; k3d: the nodes drop the packets; clusters that
                        exist: a NetworkPolicy, and the gateways are restarted, as it ends no open connection

Without CLUSTER it is the one that serves most of what other clusters call. After --for it is put back, and
calls go on until it serves its part again. The report: requests that failed or were slow, who served what
part before, meanwhile and after, how long until no request noticed it, and how it got its part back; and
whether that is within the budget, `drill` in the settings (default: no request fails, 10 s, 240 s).

Other calls of the clusters feel it as well. A cluster with `protect: true` in the settings is refused.
What is taken away is written down first, and put back at the end, at Ctrl-C, and after a crash by the next
`up`, `drill`, `demo` or `destroy`; until then `status` and `doctor` name it. --undo does nothing else.

exit codes: 0 within the budget, 1 not, or failed, 2 the settings or the command line are wrong, 130
            interrupted and put back
examples:   ./stack drill dev --lose cluster-1 --path /ports
            ./stack drill dev --lose link:cluster-2:cluster-1 --for 30s --junit drill.xml""",
    "gather": """\
pack everything needed to diagnose, without secrets

Writes one .tar.gz: settings, state, pods, events, logs (those of the run before too), our objects,
each gateway's routes and metrics, Docker containers, logs of tools, versions, and what doctor says.
Passwords, keys, tokens and kubeconfigs are replaced. What could not be had is listed in its README.

exit codes: 0 written, 1 not
example:    ./stack gather dev --output report.tar.gz""",
    "graph": """\
draw the topology as a page in one file

Writes the drawing of ./stack dashboard as one HTML file. It opens in any browser without a server and
asks nobody for anything; filters, details and keys work in it. By the settings alone, before anything
runs: clusters, addresses, apps, exports, policies, who would serve whom, also with a cluster lost, and
what would go wrong. With --live as the clusters are now, once: shares in force, conditions, why calls
go where they go, and what doctor says.

exit codes: 0 written, 1 not, 2 the settings or the command line are wrong
examples:   ./stack graph dev
            ./stack graph dev --live --output topology.html""",
    "destroy": """\
remove everything the environment made

Removes clusters, containers, network, volumes, state and passphrase, and the Docker daemon when it
is ours and nothing else runs on it. Of clusters that exist, only what was made in them: when others
have put something into a namespace that would go, it asks first; --yes is for scripts.

exit codes: 0 nothing is left, 1 failed or not wanted, 130 interrupted
examples:   ./stack destroy dev
            ./stack destroy existing --yes""",
    "env": """\
print the environment for plain `pulumi` as shell exports

After `eval` of its output, pulumi, k3d, helm, kubectl and docker of a shell are those of ./stack, and
pulumi works on a copy of the environment's file: what it sets is kept beside the state.

exit codes: 0 printed, 2 there is no such environment
example:    eval "$(./stack env dev)"; pulumi preview""",
    "test": """\
run the fast tests, or `test e2e` on real clusters

`fast` needs no Docker. `e2e` brings the environment dev up, breaks it in many ways and takes it down
again; it refuses to when dev is up already. Beside that, in a lane of their own, run the tests of single
parts on real ones. Each line says which lane wrote it. What stands after the suite goes to pytest; with
that, the fast tests run one lane after another, on the terminal. `-m long` runs those that CI leaves out.

exit codes: those of pytest
examples:   ./stack test
            ./stack test e2e -k membership
            ./stack test e2e -m long""",
    "check": """\
format, lint, types, import layers, dead code, documents

Runs scripts/check with the locked tools, as CI does.

exit codes: 0 clean, 1 not
example:    ./stack check""",
    "bench": """\
measure the gateway side by side with its peers

Sections: proxy (throughput and latency), steps (what a request costs, step by step), memory (per
connection), hops (what a call through gateways and Dapr's sidecars costs), policy (from a change on
an API server to the first request that follows), failover (a cluster dies under load), rotation (a
cluster has another root and certificate under load), stack (`up` against the article's steps one
after another, a second `up`, `destroy`, previews). Writes bench/results and docs/benchmarks.md with
its picture; sections left out keep their last results. Installs nginx, HAProxy and wrk from Debian
when it may, and builds Traefik and Dapr's sidecar from their Go modules, once. All traffic stays on
this machine. Takes about an hour, fifteen minutes of it for stack; nothing else should run meanwhile.
Ctrl-C and SIGTERM end all it has started; sections already measured stay.

exit codes: 0 measured, 1 something could not be measured, 2 there is no such section
examples:   ./stack bench
            ./stack bench proxy memory --quick""",
}
