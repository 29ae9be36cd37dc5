import { writeFile } from "node:fs/promises";
import { loadavg } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { MODE_LABEL } from "../../src/core/names.ts";
import { Workspace } from "../../src/dev/control-plane/workspace.ts";
import { ROOT, startClusterWithCrds } from "../cluster/support.ts";
import { CAPTURE_LABEL, captureReviews } from "./capture.ts";
import { Child } from "./child.ts";
import { BARE_LABEL, BARE_NAMESPACE, measureEndToEnd, NONE_NAMESPACE } from "./end-to-end.ts";
import { checkSameWork, loadOf, measureHandlers } from "./handler.ts";
import {
  CONTROLLER_PARTS,
  FULL_PLAN,
  MESH_PARTS,
  type Part,
  PARTS,
  type Plan,
  QUICK_PLAN,
  REVIEW_PARTS,
  SERVICES,
} from "./limits.ts";
import { measureMemory } from "./memory.ts";
import { measureMesh } from "./mesh.ts";
import { measurePropagation } from "./propagation.ts";
import { goals, renderReport, type Results, type ReviewResults } from "./report.ts";
import type { ControllerResults } from "./report-controller.ts";
import { measureRules } from "./rules.ts";
import { startRolesStage } from "./roles-stage.ts";
import { measureScale } from "./scale.ts";
import { startRoles } from "./roles.ts";
import { compile, startBareServer } from "./servers.ts";
import { measureSettled } from "./settled.ts";
import { registerLikeFairlead } from "./webhooks.ts";
import { adminClient, createNamespace, createWorld, SHOP } from "./world.ts";

const USAGE = `npm run bench -- [--quick] [--only PART]... [--output FILE] [--profile DIRECTORY]
  --quick              about four minutes, with wider spreads; the report says so
  --only PART          ${PARTS.join(", ")}; the report is not written to its place
  --output FILE        where the report goes instead of docs/performance.md
  --profile DIRECTORY  also writes a CPU profile of each server, which makes all slower; the report is not written to its place`;
const REPORT = join(ROOT, "docs", "performance.md");

interface Flags {
  readonly quick: boolean;
  readonly only: readonly Part[];
  readonly output: string | undefined;
  readonly profile: string | undefined;
}

/** Taken back in the reverse order, whatever happens. */
type Cleanup = (() => Promise<unknown>)[];

interface Bench {
  readonly plan: Plan;
  readonly parts: ReadonlySet<Part>;
  readonly workspace: Workspace;
  /** From compile(). */
  readonly dist: string;
  readonly nodeFlags: readonly string[];
  /** A profile is written only by a process that ends of itself. */
  readonly stopSignal: "SIGTERM" | "SIGKILL";
}

async function bench(plan: Plan, flags: Flags): Promise<void> {
  const { quick, only, profile } = flags;
  const startMs = performance.now();
  const [loadBefore = Number.NaN] = loadavg();
  const isWhole = only.length === 0;
  const workspace = await Workspace.create("fairlead-bench-");
  try {
    const setup: Bench = {
      plan,
      parts: new Set(isWhole ? PARTS : only),
      workspace,
      dist: await compile(workspace),
      nodeFlags: profile === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${profile}`],
      stopSignal: profile === undefined ? "SIGKILL" : "SIGTERM",
    };
    const reviews = await withCleanup(setup, REVIEW_PARTS, measureReviews);
    const controller = await withCleanup(setup, CONTROLLER_PARTS, measureController);
    const meshParts = MESH_PARTS.filter((part) => setup.parts.has(part));
    if (meshParts.length > 0) say("measuring with istiod and a proxy");
    const mesh = meshParts.length > 0 ? { meshReport: await measureMesh(setup, meshParts) } : {};
    const durationMs = performance.now() - startMs;
    const shown = [...(quick ? ["--quick"] : []), ...only.map((part) => `--only ${part}`)];
    const run = { flags: shown, durationMs, loadBefore, date: new Date() };
    const results: Results = { ...reviews, ...controller, ...mesh, plan, ...run };
    const output = flags.output ?? (isWhole && profile === undefined ? REPORT : undefined);
    if (output !== undefined) await writeFile(output, renderReport(results));
    process.stdout.write(`${renderReport(results)}\n`);
    for (const goal of goals(results)) if (!goal.met) say(`MISSED: ${goal.name}: ${goal.found}, wanted ${goal.wanted}`);
  } finally {
    await workspace.remove();
  }
}

/** Measures nothing where none of the parts is wanted. */
async function withCleanup<T extends object>(
  setup: Bench,
  parts: readonly Part[],
  measure: (setup: Bench, cleanup: Cleanup) => Promise<T>,
): Promise<Partial<T>> {
  if (!parts.some((part) => setup.parts.has(part))) return {};
  const cleanup: Cleanup = [];
  try {
    return await measure(setup, cleanup);
  } finally {
    for (const step of cleanup.reverse()) await step();
  }
}

/** The admission process of Fairlead, with its controller as in a cluster, beside a bare server. */
async function measureReviews(setup: Bench, cleanup: Cleanup): Promise<ReviewResults> {
  const { plan, parts, workspace, stopSignal } = setup;
  say("starting the control plane");
  // Without the controllers: they would write endpoints for each Service, at moments of their own.
  const controlPlane = await startClusterWithCrds({ controllerManager: false });
  cleanup.push(() => controlPlane.stop());
  const client = adminClient(controlPlane);
  cleanup.push(() => Promise.resolve(client.close()));
  const options = { ...setup, controlPlane };
  const bare = await startBareServer(options);
  cleanup.push(() => bare.child.stop(stopSignal));
  const roles = await startRoles(options, client);
  const fairlead = roles.admission;
  cleanup.push(() => roles.stop(stopSignal));
  const script = join(import.meta.dirname, "load-client.ts");
  const load = new Child({ args: [script], logPath: workspace.file("load.log") });
  cleanup.push(() => load.stop("SIGKILL"));
  say("creating the world");
  await createNamespace(client, SHOP, { [MODE_LABEL]: "enforce", [CAPTURE_LABEL]: "true" });
  await createNamespace(client, BARE_NAMESPACE, { [BARE_LABEL]: "true" });
  await createNamespace(client, NONE_NAMESPACE, {});
  await createWorld(client);
  const reviews = await captureReviews(controlPlane, client);
  const { port, caPem } = bare;
  await registerLikeFairlead(client, { name: "bare", namespaceLabel: BARE_LABEL, reinvoked: true, port, caPem });
  const servers = { bare, fairlead, secret: fairlead.secret };
  const loads = { CREATE: loadOf("CREATE", reviews, servers), UPDATE: loadOf("UPDATE", reviews, servers) };
  for (const [operation, targets] of Object.entries(loads)) {
    for (const target of Object.values(targets)) await checkSameWork(target, operation);
  }
  return {
    ...(wants(parts, "reviews", "reviews at the HTTPS endpoint") && {
      handlers: { reviews, results: await measureHandlers(loads, load, plan) },
    }),
    ...(wants(parts, "creates", "creates through kube-apiserver") && {
      endToEnd: await measureEndToEnd(client, plan),
    }),
    ...(wants(parts, "churn", "memory under churn") && { memory: await measureMemory(fairlead, client, plan) }),
    ...(wants(parts, "rules", "rules") && {
      rules: await measureRules({ client, load, servers, reviews }, plan),
    }),
  };
}

/** Fairlead in two processes, as the chart installs it. */
async function measureController(setup: Bench, cleanup: Cleanup): Promise<ControllerResults> {
  const { plan, parts } = setup;
  say("starting a control plane with both roles");
  const stage = await startRolesStage({ ...setup, services: SERVICES, cleanup });
  return {
    ...(wants(parts, "propagation", "one change to many Services") && {
      propagation: await measurePropagation(stage, plan),
    }),
    ...(wants(parts, "scale", `${plan.scaleServices} Services`) && { scale: await measureScale(stage, plan) }),
    ...(wants(parts, "settled", "a settled cluster") && { settled: await measureSettled(stage, plan) }),
  };
}

function wants(parts: ReadonlySet<Part>, part: Part, what: string): boolean {
  if (parts.has(part)) say(`measuring ${what}`);
  return parts.has(part);
}

function say(text: string): void {
  process.stderr.write(`bench: ${text}\n`);
}

function partOf(text: string): Part {
  const part = PARTS.find((name) => name === text);
  if (part === undefined) throw new Error(`Found --only ${text}, wanted ${PARTS.join(", ")}`);
  return part;
}

const { values } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    only: { type: "string", multiple: true, default: [] },
    output: { type: "string" },
    profile: { type: "string" },
    help: { type: "boolean" },
  },
});
if (values.help) process.stdout.write(`${USAGE}\n`);
else {
  const { quick, output, profile } = values;
  await bench(quick ? QUICK_PLAN : FULL_PLAN, { quick, output, profile, only: values.only.map(partOf) });
}
