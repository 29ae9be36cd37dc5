#!/usr/bin/env node
import { readFileSync } from "node:fs";
import { Command, CommanderError, Option } from "commander";
import type { EvalFlags } from "./cli/eval.ts";
import { type InputObject, readInput } from "./cli/input.ts";
import { PLAN_FORMATS, type PlanFormat } from "./cli/output-plan.ts";
import { EXPLAIN_FORMATS, type ExplainFormat } from "./cli/output-explain.ts";
import { locate, OUTPUT_FORMATS, type OutputFormat, render } from "./cli/output.ts";
import { checkRules } from "./cli/rule-check.ts";
import { reviewObjects } from "./cli/review.ts";
import type { ServeFlags } from "./cli/serve.ts";
import { TEST_FORMATS, type TestFormat } from "./cli/output-test.ts";
import { UNINSTALL_FORMATS } from "./cli/output-uninstall.ts";
import type { UninstallFlags } from "./cli/uninstall.ts";
import { UsageError } from "./usage-error.ts";
import {
  CLUSTER_DOMAIN,
  CERTIFICATE_SOURCES,
  DEFAULT_NAMESPACE,
  excludedNamespaces,
  parseMesh,
  parseMeshVersion,
  parseMode,
  ROLES,
} from "./config.ts";
import { MODES } from "./core/names.ts";
import { SERVE_REQUEST_COST_MAX, SERVE_RULE_COST_MAX } from "./core/rules/limits.ts";
import type { DemoFlags } from "./dev/demo.ts";
import { LOG_LEVELS } from "./observe/levels.ts";

const KUBECONFIG_HELP = "kubeconfig (default: KUBECONFIG, else the service account of the pod)";
const MESH_HELP = "linkerd or istio (default: what the namespace shows, else linkerd)";
const CLUSTER_DOMAIN_HELP = "what the DNS names of Services end in";
const MESH_VERSION_HELP = "version of Linkerd, of Istio, or of both: 2.18,1.24";
const EXIT_DENIED = 1;
const EXIT_FAILED = 1;
const EXIT_DIFFERENT = 1;
/** As `kubectl diff` has it, 1 is a difference; an apply would fail, and the plan is printed all the same. */
const EXIT_REFUSED = 3;
/** Bad usage, unreadable input, or a bug of ours: nothing was reviewed, and 1 would say that something was denied. */
const EXIT_USAGE = 2;

/** What makes up the world of the offline commands. */
interface WorldFlags {
  readonly filename: readonly string[];
  readonly recursive?: boolean;
  readonly mode: string;
  readonly mesh?: string;
  readonly meshVersion?: string;
  readonly clusterDomain: string;
}

interface ReviewFlags extends WorldFlags {
  readonly output: OutputFormat;
}

interface PlanFlags extends WorldFlags {
  readonly before?: readonly string[];
  readonly prune?: boolean;
  readonly output: PlanFormat;
}

interface ExplainFlags extends WorldFlags {
  readonly output: ExplainFormat;
  readonly rule?: readonly string[];
}

function version(): string {
  const text = readFileSync(new URL("../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { readonly version: string }).version;
}

function program(): Command {
  const fairlead = new Command("fairlead")
    .description("Keeps service-mesh resilience right at the moment it is written.")
    .version(version(), "-V, --version", "print the version")
    .showHelpAfterError("(add --help for the flags)")
    .exitOverride();
  fairlead.addCommand(serveCommand());
  fairlead.addCommand(reviewCommand());
  fairlead.addCommand(planCommand());
  fairlead.addCommand(testCommand());
  fairlead.addCommand(explainCommand());
  fairlead.addCommand(evalCommand());
  fairlead.addCommand(uninstallCommand());
  fairlead.addCommand(demoCommand());
  return fairlead;
}

function serveCommand(): Command {
  return (
    new Command("serve")
      .description("Serve the admission webhook and bring existing objects in line.")
      .addOption(
        new Option("--role <role>", "admission answers reviews, controller writes; all is both in one process")
          .choices(ROLES)
          .default("all"),
      )
      .option(
        "--certificate-dir <directory>",
        "with --role admission: where tls.crt, tls.key, ca.crt and path are mounted",
      )
      .addOption(
        new Option("--certificates <source>", "who makes the certificates: Fairlead, or another tool (cert-manager)")
          .choices(CERTIFICATE_SOURCES)
          .default("self-managed"),
      )
      .option("--lease-duration <duration>", "how long a leader that is silent stays the leader (default: 15s)")
      .option("--lease-renew-deadline <duration>", "how long a leader goes on without a renewal (default: 10s)")
      .option("--lease-retry-period <duration>", "pause between two attempts to lead or to renew (default: 2s)")
      .option("--resync-period <duration>", "how often everything is looked at without a reason", "10m")
      .option("--audit-period <duration>", "how often what exists is judged by the rules without a reason", "1h")
      .option(
        "--rule-cost-limit <units>",
        "what one rule may cost for one object while a request waits, in units of CEL (docs/rules.md)",
        String(SERVE_RULE_COST_MAX),
      )
      .option(
        "--request-cost-limit <units>",
        "what all rules together may cost for one request",
        String(SERVE_REQUEST_COST_MAX),
      )
      .option("--kubeconfig <file>", KUBECONFIG_HELP)
      .option("--namespace <name>", "Fairlead's own namespace", DEFAULT_NAMESPACE)
      .option("--host <address>", "address of both ports (default: all)")
      .option("--port <number>", "admission port (TLS); 0 takes a free one", "8443")
      .option("--operations-port <number>", "port of /livez, /readyz and /metrics (plain HTTP)", "8080")
      .option("--register", "create the webhook configurations (development and demo); they stay when it ends")
      .option(
        "--url <url>",
        "where the API server reaches the admission port, with --register (default: https://127.0.0.1:PORT)",
      )
      .addOption(
        new Option("--failure-policy <policy>", "of the validating webhooks for Services and routes, with --register")
          .choices(["Ignore", "Fail"])
          .default("Ignore"),
      )
      .option("--client-ca <file>", "accept only clients with a certificate of this CA on the admission port")
      .option("--mesh <name>", MESH_HELP)
      .option("--mesh-version <version>", `${MESH_VERSION_HELP} (default: what runs, else the newest known)`)
      .option("--cluster-domain <domain>", CLUSTER_DOMAIN_HELP, CLUSTER_DOMAIN)
      .addOption(new Option("--log-level <level>", "log level").choices(LOG_LEVELS).default("info"))
      .exitOverride()
      // Loaded only when asked for: the offline commands start in a third of the time without it.
      .action(async (flags: ServeFlags) => (await import("./cli/serve.ts")).serve(flags))
  );
}

function uninstallCommand(): Command {
  return new Command("uninstall")
    .description("Take Fairlead back from a cluster: webhooks, finalizers and what was injected. Nothing has to run.")
    .option("--kubeconfig <file>", KUBECONFIG_HELP)
    .option("--namespace <name>", "Fairlead's own namespace", DEFAULT_NAMESPACE)
    .option("--dry-run", "print what would be removed and restored, and write nothing")
    .option("--yes", "do not ask")
    .option("--force", "also while Fairlead still runs, which may write again")
    .addOption(new Option("-o, --output <format>", "output format").choices(UNINSTALL_FORMATS).default("table"))
    .option("--mesh-version <version>", "the one that Fairlead was told, for reading its records (default: the newest)")
    .option("--timeout <duration>", "begin nothing new after this time", "5m")
    .addHelpText("after", "\nExit status: 0 all is gone, 1 something is left, 2 bad usage.")
    .exitOverride()
    .action(async (flags: UninstallFlags) => (await import("./cli/uninstall.ts")).uninstall(flags));
}

function testCommand(): Command {
  return new Command("test")
    .description("Run the test cases of rules and policies: writes, and what is expected to become of them.")
    .argument("<path...>", "directories, searched at any depth for fairlead-test.yaml, or files")
    .addOption(new Option("-o, --output <format>", "output format").choices(TEST_FORMATS).default("table"))
    .addHelpText("after", "\nExit status: 0 all as expected, 1 something is not, 2 bad usage or unreadable input.")
    .exitOverride()
    .action(async (paths: readonly string[], flags: { readonly output: TestFormat }) => {
      const [{ runTests }, { renderTest }] = [await import("./cli/test.ts"), await import("./cli/output-test.ts")];
      const results = runTests(paths, process.env["INIT_CWD"] ?? process.cwd());
      process.stdout.write(renderTest(results, flags.output, isColoured()));
      if (results.some(({ misses }) => misses.length > 0)) process.exitCode = EXIT_FAILED;
    });
}

function evalCommand(): Command {
  return new Command("eval")
    .description("Evaluate a CEL expression as the API server would; for people who write rules.")
    .requiredOption("-e, --expression <expression>", "the expression")
    .option(
      "-f, --filename <file>",
      "file with one object, or - for standard input; its name in the expression is object",
    )
    .addOption(new Option("-o, --output <format>", "output format").choices(["text", "json"]).default("text"))
    .addHelpText("after", "\nExit status: 0 a value, 1 an error in the expression, 2 bad usage or unreadable input.")
    .exitOverride()
    .action(async (flags: EvalFlags) => {
      const { evalExpression } = await import("./cli/eval.ts");
      const { ok, text } = evalExpression(flags, process.env["INIT_CWD"] ?? process.cwd());
      process.stdout.write(text);
      if (!ok) process.exitCode = EXIT_DENIED;
    });
}

function demoCommand(): Command {
  return new Command("demo")
    .description("Start a real control plane and Fairlead, and show what happens to real kubectl writes.")
    .option("--once", "end after the story instead of staying up")
    .exitOverride()
    .action(async (flags: DemoFlags) => (await import("./dev/demo.ts")).demo(flags));
}

function reviewCommand(): Command {
  return withWorldFlags(new Command("review"))
    .description("Review Kubernetes objects offline, with the evaluator of the webhook.")
    .addOption(new Option("-o, --output <format>", "output format").choices(OUTPUT_FORMATS).default("table"))
    .addHelpText("after", "\nExit status: 0 all allowed, 1 something denied, 2 bad usage or unreadable input.")
    .exitOverride()
    .action(review);
}

function planCommand(): Command {
  return withWorldFlags(new Command("plan"))
    .description(
      "Show what a write would change: the settings in force for each target, and the objects that carry them.",
    )
    .option("--before <file...>", "the cluster before, from files, directories or - (default: an empty one)")
    .option("--prune", "objects of --before that -f does not have are deleted")
    .addOption(new Option("-o, --output <format>", "output format").choices(PLAN_FORMATS).default("text"))
    .addHelpText(
      "after",
      "\nExit status: 0 nothing changes, 1 something does, 2 bad usage or unreadable input, 3 a write is refused.",
    )
    .exitOverride()
    .action(plan);
}

function explainCommand(): Command {
  return withWorldFlags(new Command("explain"))
    .description(
      "Show for each rule and object of the input whether it applies, what its parts give, and what it costs.",
    )
    .option("--rule <name...>", "only these rules")
    .addOption(new Option("-o, --output <format>", "output format").choices(EXPLAIN_FORMATS).default("table"))
    .addHelpText("after", "\nExit status: 0 explained, 2 bad usage or unreadable input.")
    .exitOverride()
    .action(explain);
}

function withWorldFlags(command: Command): Command {
  return command
    .requiredOption("-f, --filename <file...>", "files, directories or - for standard input")
    .option("-R, --recursive", "read directories recursively")
    .addOption(
      new Option("--mode <mode>", "mode of namespaces that are not in the input").choices(MODES).default("enforce"),
    )
    .option("--mesh <name>", MESH_HELP)
    .option("--mesh-version <version>", `${MESH_VERSION_HELP} (default: the newest known)`)
    .option("--cluster-domain <domain>", CLUSTER_DOMAIN_HELP, CLUSTER_DOMAIN);
}

/**
 * The input and the world that it makes up; problems of rules that are no more than warnings are told at once.
 * `beside`: what else is there.
 */
function readWorld(flags: WorldFlags, beside: readonly InputObject[] = []) {
  const defaults = {
    unknownNamespaceMode: parseMode(flags.mode),
    mesh: flags.mesh === undefined ? undefined : parseMesh(flags.mesh),
    meshVersion: parseMeshVersion(flags.meshVersion),
    clusterDomain: flags.clusterDomain,
    excludedNamespaces: excludedNamespaces(DEFAULT_NAMESPACE),
  };
  const input = readFiles(flags.filename, flags);
  const nowMs = Date.now();
  for (const text of checkRules([...beside, ...input], defaults, nowMs))
    process.stderr.write(`fairlead: warning: ${text}\n`);
  return { input, defaults, nowMs };
}

function readFiles(filenames: readonly string[], { recursive = false }: WorldFlags): readonly InputObject[] {
  return readInput({ filenames, recursive, baseDirectory: process.env["INIT_CWD"] ?? process.cwd() });
}

function review(flags: ReviewFlags): void {
  const { input, defaults, nowMs } = readWorld(flags);
  const reviews = reviewObjects(
    input.map((item) => item.object),
    defaults,
    nowMs,
  );
  process.stdout.write(render(locate(reviews, input), flags.output, isColoured()));
  if (reviews.some(({ result }) => !result.allowed)) process.exitCode = EXIT_DENIED;
}

async function plan(flags: PlanFlags): Promise<void> {
  const [{ planObjects }, { renderPlan }] = [await import("./cli/plan.ts"), await import("./cli/output-plan.ts")];
  const before = flags.before === undefined ? [] : readFiles(flags.before, flags);
  const { input, ...options } = readWorld(flags, before);
  const planned = planObjects({
    ...options,
    before: before.map(({ object }) => object),
    written: input.map(({ object }) => object),
    prune: flags.prune ?? false,
  });
  process.stdout.write(renderPlan(planned, flags.output, isColoured()));
  if (planned.reviews.some(({ result }) => !result.allowed)) process.exitCode = EXIT_REFUSED;
  else if (planned.targets.some(({ change }) => change !== "none")) process.exitCode = EXIT_DIFFERENT;
}

async function explain(flags: ExplainFlags): Promise<void> {
  const [{ explainObjects }, { renderExplain }] = [
    await import("./cli/explain.ts"),
    await import("./cli/output-explain.ts"),
  ];
  const { input, ...options } = readWorld(flags);
  const objects = explainObjects(input, { ...options, names: flags.rule ?? [] });
  process.stdout.write(renderExplain(objects, flags.output, isColoured()));
}

function isColoured(): boolean {
  return process.stdout.isTTY && !process.env["NO_COLOR"];
}

/** What only a mistake of ours brings about keeps its stack trace. */
function isBug(error: Error): boolean {
  return error instanceof TypeError || error instanceof RangeError || error instanceof ReferenceError;
}

// A reader that has seen enough (`fairlead review ... | head`) is no error; the exit status stays the verdict.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
});

try {
  await program().parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    // commander has printed its message; help asked for is no error.
    process.exitCode = error.exitCode === 0 ? 0 : EXIT_USAGE;
  } else if (error instanceof UsageError) {
    process.stderr.write(`fairlead: ${error.message}\n`);
    process.exitCode = EXIT_USAGE;
  } else if (error instanceof Error && !isBug(error)) {
    process.stderr.write(`fairlead: ${error.message}\n`);
    process.exitCode = EXIT_FAILED;
  } else {
    console.error(error);
    process.exitCode = EXIT_USAGE;
  }
}
