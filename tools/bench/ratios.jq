# SPDX-License-Identifier: MIT
# From results.json to what is printed: ratios, beside the goals where there are any.
#
# A ratio is the median of the ratios of each run: what is compared was measured side by side.

def median: sort | if length == 0 then null else .[length / 2 | floor] end;

def two($case; $size; $batch; $transport; $metric):
	{ case: $case, size: $size, batch: $batch, transport: $transport, metric: $metric,
	  placement: "two-cpus" };
def one($case; $size; $batch; $transport; $metric):
	two($case; $size; $batch; $transport; $metric) + { placement: "same-cpu" };

# The values by run that match all fields of $what.
def values($records; $what):
	[$records[] | select(. as $r | all($what | to_entries[]; $r[.key] == .value))]
	| map({ key: (.run | tostring), value: .value }) | from_entries;

# {value, spread} of a / b, null where nothing was measured.
def ratio($records; $a; $b):
	values($records; $a) as $va | values($records; $b) as $vb
	| [$va | to_entries[] | select($vb[.key]) | .value / $vb[.key]]
	| if length == 0 then null else { value: median, low: min, high: max } end;

def figure($records; $a):
	[values($records; $a)[]]
	| if length == 0 then null else { value: median, low: min, high: max } end;

# Largest of several ratios to the first.
def widest($records; $list):
	[$list[] as $a | ratio($records; $a; $list[0])]
	| if any(. == null) then null else max_by(.value) end;

def pad($n): . + " " * ([$n - length, 0] | max);
def lead($n): " " * ([$n - length, 0] | max) + .;
def number: if . == null then "-" elif . >= 100 then round | tostring
	else (. * 1000 | round / 1000 | tostring) end;

def line($text; $f; $op; $goal):
	{ text: $text, f: $f, op: $op, goal: $goal,
	  verdict: (if $f == null then "not measured"
		elif ($op == ">=" and $f.value >= $goal) or ($op == "<=" and $f.value <= $goal)
		then "reached" else "missed" end) };

def print:
	"  " + (.text | pad(72)) + (.f.value | number | lead(9))
	+ (if .f and .f.low != .f.high then "\(.f.low | number)-\(.f.high | number)" else "" end
		| lead(17))
	+ (if .op then "  \(.op) \(.goal)" else "" end | pad(10))
	+ (if .verdict then "  " + .verdict else "" end);

.environment as $env | .records as $r
| ("msgchan-ring") as $ring | ("msgchan-ring-polled") as $polled
| ("msgchan-rendezvous") as $call
| ("msgchan-uring") as $uring
| def stream($t; $size; $batch): two("stream"; $size; $batch; $t; "msgs_per_s");
  def rtt($t): two("rtt"; 64; 1; $t; "ns_p50");
  [
	line("one way, 64 B, batches of 32: ring polled : bare SPSC ring";
		ratio($r; stream($polled; 64; 32); stream("spsc"; 64; 32)); ">="; 0.7),
	line("one way, 64 B, one by one: ring polled : bare SPSC ring";
		ratio($r; stream($polled; 64; 1); stream("spsc"; 64; 1)); ">="; 0.3),
	line("one way, 64 B: ring, batches of 32 : pipe, a write per message";
		ratio($r; stream($ring; 64; 32); stream("pipe"; 64; 1)); ">="; 30),
	line("one way, 64 B: ring, batches of 32 : seqpacket, a send per message";
		ratio($r; stream($ring; 64; 32); stream("unix-seqpacket"; 64; 1)); ">="; 60),
	line("round trip, 64 B: ring polled : bare cache line";
		ratio($r; rtt($polled); rtt("spin")); "<="; 1.5),
	line("round trip, 64 B, sleeping, two CPUs: ring : eventfd and memory";
		ratio($r; rtt($ring); rtt("eventfd-shm")); "<="; 1),
	line("round trip, 64 B, sleeping, one CPU: ring : eventfd and memory";
		ratio($r; one("rtt"; 64; 1; $ring; "ns_p50");
			one("rtt"; 64; 1; "eventfd-shm"; "ns_p50")); "<="; 1),
	line("  the same in instructions";
		ratio($r; one("rtt"; 64; 1; $ring; "instructions");
			one("rtt"; 64; 1; "eventfd-shm"; "instructions")); "<="; 1),
	({ "pipe": 0.8, "unix-seqpacket": 0.58, "eventfd-shm": 0.95 } | to_entries[]
	| line("a call and its answer, 64 B, one CPU, instructions: \(.key)";
		ratio($r; one("rtt"; 64; 1; $call; "instructions");
			one("rtt"; 64; 1; .key; "instructions")); "<="; .value)),
	line("a call and its answer, 64 B, two CPUs, looking before sleeping: pipe : this";
		ratio($r; rtt("pipe"); rtt("msgchan-rendezvous-spin")); ">="; 10),
	line("  the same, never looking: this : pipe";
		ratio($r; rtt($call); rtt("pipe")); "<="; 1),
	line("a call with 1 MiB both ways, nobody touching it, instructions: with 64 B";
		ratio($r; one("calls"; 1048576; 1; $call; "instructions") + { peers: 2 };
			one("calls"; 64; 1; $call; "instructions") + { peers: 2 }); "<="; 1),
	line("a call beside 1,000 idle clients, instructions: alone";
		ratio($r; one("calls"; 64; 1; $call; "instructions") + { peers: 1002 };
			one("calls"; 64; 1; $call; "instructions") + { peers: 2 }); "<="; 1.1),
	line("system calls of a call and its answer";
		figure($r; one("rtt"; 64; 1; $call; "syscalls")); "<="; 2),
	line("context switches of it, on one CPU";
		figure($r; one("rtt"; 64; 1; $call; "switches") + { clock: "real" }); "<="; 2.01),
	line("a call in a batch of 32, io_uring, one CPU, instructions: by ioctl";
		ratio($r; one("batch"; 64; 32; $uring; "instructions");
			one("batch"; 64; 1; $call; "instructions")); "<="; 0.45),
	line("  seqpacket by io_uring in batches of 32 : this";
		ratio($r; one("batch"; 64; 32; "io-uring-unix"; "instructions");
			one("batch"; 64; 32; $uring; "instructions")); ">="; 3),
	line("  system calls, one CPU: by ioctl";
		ratio($r; one("batch"; 64; 32; $uring; "syscalls");
			one("batch"; 64; 1; $call; "syscalls")); "<="; 0.0625),
	line("asking 32 servers, one CPU, instructions: one after the other : as a batch";
		ratio($r; one("fanout"; 64; 1; $call; "instructions");
			one("fanout"; 64; 32; $uring; "instructions")); ">="; 1.2),
	line("  each sleeping 1 ms, virtual time: one after the other : as a batch";
		ratio($r; one("fanout-1ms"; 64; 1; $call; "ns_p50") + { clock: "virtual" };
			one("fanout-1ms"; 64; 32; $uring; "ns_p50") + { clock: "virtual" });
		">="; 10),
	line("system calls per message, ring polled, one way, batches of 32";
		figure($r; two("stream"; 64; 32; $polled; "syscalls")); "<="; 0),
	line("system calls per round trip, ring polled";
		figure($r; two("rtt"; 64; 1; $polled; "syscalls")); "<="; 0),
	line("system calls per claim of 32, balanced";
		figure($r; two("balanced"; 64; 32; $ring; "syscalls_per_claim")); "<="; 1),
	line("handing over 64 B to 64 MiB: dearest : 64 B";
		widest($r; [64, 4096, 65536, 1048576, 16777216, 67108864]
			| map(two("handover"; .; 1; $polled; "ns_p50"))); "<="; 1.2),
	line("cost of a message: 64 senders : 1 sender";
		ratio($r; two("fanin"; 64; 32; $ring; "msgs_per_s") + { peers: 2 };
			two("fanin"; 64; 32; $ring; "msgs_per_s") + { peers: 65 }); "<="; 1.5),
	line("cost of a message: 4 senders of 1,024 that are attached : of 4";
		ratio($r; two("fanin"; 64; 32; $ring; "msgs_per_s") + { peers: 5 };
			two("fanin"; 64; 32; $ring; "msgs_per_s") + { peers: 1025 }); "<="; 1.2),
	line("kernel memory of an idle sender beyond its 17 pages, in bytes";
		figure($r; one("memory"; 65536; 1; $ring; "bytes_beyond_pages")); "<="; 2184)
  ] as $goals
| [
	([64, 1024, 4096, 65536, 1048576][] as $size
	| (if $size == 64 or $size == 1024 then 32 else 1 end) as $batch
	| ("pipe", "unix-seqpacket", "spsc") as $rival
	| { text: "one way, \($size) B, batch \($batch): ring\(if $rival == "spsc"
			then " polled" else "" end) : \($rival)",
	    f: ratio($r; stream(if $rival == "spsc" then $polled else $ring end; $size; $batch);
		stream($rival; $size; $batch)) }),
	(("pipe", "unix-seqpacket") as $rival
	| { text: "round trip, 64 B, sleeping, two CPUs: ring : \($rival)",
	    f: ratio($r; rtt($ring); rtt($rival)) }),
	(("pipe", "unix-seqpacket") as $rival
	| { text: "round trip, 64 B, one CPU, instructions: ring : \($rival)",
	    f: ratio($r; one("rtt"; 64; 1; $ring; "instructions");
		one("rtt"; 64; 1; $rival; "instructions")) }),
	{ text: "a call and its answer, 64 B, one CPU, instructions: binder",
	  f: ratio($r; one("rtt"; 64; 1; $call; "instructions");
		one("rtt"; 64; 1; "binder"; "instructions")) },
	{ text: "a call and its answer, 64 B, two CPUs: binder",
	  f: ratio($r; rtt($call); rtt("binder")) },
	{ text: "  looking before sleeping",
	  f: ratio($r; rtt("msgchan-rendezvous-spin"); rtt("binder")) }
  ] as $more
| def runs(metric): [$r[] | select(.case == "rtt" and .metric == metric) | .run] | max + 1;
  "",
  "\($env.kernel), \($env.cpus) CPUs (\($env.accel)), host: \($env.host_cpu), load \($env.host_load)",
  "medians of \(runs("ns_p50")) runs (instructions: \(runs("instructions")), system calls: \(runs("syscalls"))), their extremes, the goal; \($env.note)",
  ($r[] | select(.case == "host" and .value > 0)
	| "THE HOST WAS BUSY in \(.value) of \(.samples) runs on two CPUs: do not trust those figures"),
  "",
  ($goals[] | print),
  "",
  "without a goal:",
  ($more[] | select(.f) | print),
  "",
  "\([$goals[] | select(.verdict == "reached")] | length) reached, \([$goals[] | select(.verdict == "missed")] | length) missed, \([$goals[] | select(.verdict == "not measured")] | length) not measured"
