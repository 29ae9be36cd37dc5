import { writeFile } from "node:fs/promises";
import { loadavg } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { ControlPlane } from "../../src/dev/control-plane/control-plane.ts";
import { Workspace } from "../../src/dev/control-plane/workspace.ts";
import { MODE_LABEL } from "../../src/core/names.ts";
import type { KubernetesClient } from "../../src/k8s/client.ts";
import { ROOT, startClusterWithCrds } from "../cluster/support.ts";
import { CAPTURE_LABEL, captureReviews } from "./capture.ts";
import { Child } from "./child.ts";
import { BARE_LABEL, BARE_NAMESPACE, measureEndToEnd, NONE_NAMESPACE } from "./end-to-end.ts";
import { checkSameWork, loadOf, measureHandlers } from "./handler.ts";
import { FULL_PLAN, type Plan, QUICK_PLAN } from "./limits.ts";
import { measureMemory } from "./memory.ts";
import { goals, renderReport, type Results } from "./report.ts";
import { compile, fairleadSecret, type Server, startBareServer, startFairleadServer } from "./servers.ts";
import { registerLikeFairlead } from "./webhooks.ts";
import { adminClient, createNamespace, createWorld, SHOP } from "./world.ts";

const USAGE = `npm run bench -- [--quick] [--profile DIRECTORY]
  --quick              about a minute, with wider spreads; the report says so
  --profile DIRECTORY  also writes a CPU profile of each server, which makes both slower`;
const REPORT = join(ROOT, "docs", "performance.md");

/** Everything that runs beside this process. */
interface Stage {
  readonly workspace: Workspace;
  readonly controlPlane: ControlPlane;
  readonly client: KubernetesClient;
  readonly bare: Server;
  readonly fairlead: Server;
  readonly load: Child;
}

async function bench(
  plan: Plan,
  flags: { readonly quick: boolean; readonly profile: string | undefined },
): Promise<void> {
  const startMs = performance.now();
  const [loadBefore = Number.NaN] = loadavg();
  const cleanup: (() => Promise<unknown>)[] = [];
  try {
    const stage = await setStage(cleanup, flags.profile);
    const measured = await measure(stage, plan);
    const durationMs = performance.now() - startMs;
    const results: Results = { ...measured, plan, quick: flags.quick, durationMs, loadBefore, date: new Date() };
    if (flags.profile === undefined) await writeFile(REPORT, renderReport(results));
    process.stdout.write(`${renderReport(results)}\n`);
    for (const goal of goals(results)) if (!goal.met) say(`MISSED: ${goal.name}: ${goal.found}, wanted ${goal.wanted}`);
  } finally {
    for (const step of cleanup.reverse()) await step();
  }
}

async function setStage(cleanup: (() => Promise<unknown>)[], profile: string | undefined): Promise<Stage> {
  say("starting the control plane");
  // Without the controllers: they would write endpoints for each Service, at moments of their own.
  const controlPlane = await startClusterWithCrds({ controllerManager: false });
  cleanup.push(() => controlPlane.stop());
  const workspace = await Workspace.create("fairlead-bench-");
  cleanup.push(() => workspace.remove());
  const client = adminClient(controlPlane);
  cleanup.push(() => Promise.resolve(client.close()));
  const dist = await compile(workspace);
  const nodeFlags = profile === undefined ? [] : ["--cpu-prof", `--cpu-prof-dir=${profile}`];
  const options = { workspace, controlPlane, dist, nodeFlags };
  // A profile is written only by a process that ends of itself.
  const signal = profile === undefined ? "SIGKILL" : "SIGTERM";
  const bare = await startBareServer(options);
  cleanup.push(() => bare.child.stop(signal));
  const fairlead = await startFairleadServer(options);
  cleanup.push(() => fairlead.child.stop(signal));
  const script = join(import.meta.dirname, "load-client.ts");
  const load = new Child({ args: [script], logPath: workspace.file("load.log") });
  cleanup.push(() => load.stop("SIGKILL"));
  return { workspace, controlPlane, client, bare, fairlead, load };
}

async function measure(
  stage: Stage,
  plan: Plan,
): Promise<Pick<Results, "reviews" | "handlers" | "endToEnd" | "memory">> {
  const { controlPlane, client, bare, fairlead, load } = stage;
  say("creating the world");
  await createNamespace(client, SHOP, { [MODE_LABEL]: "enforce", [CAPTURE_LABEL]: "true" });
  await createNamespace(client, BARE_NAMESPACE, { [BARE_LABEL]: "true" });
  await createNamespace(client, NONE_NAMESPACE, {});
  await createWorld(client);
  const reviews = await captureReviews(controlPlane, client);
  const { port, caPem } = bare;
  await registerLikeFairlead(client, { name: "bare", namespaceLabel: BARE_LABEL, reinvoked: true, port, caPem });
  const servers = { bare, fairlead, secret: await fairleadSecret(controlPlane) };
  const loads = { CREATE: loadOf("CREATE", reviews, servers), UPDATE: loadOf("UPDATE", reviews, servers) };
  for (const [operation, targets] of Object.entries(loads)) {
    for (const target of Object.values(targets)) await checkSameWork(target, operation);
  }
  say("measuring reviews at the HTTPS endpoint");
  const handlers = await measureHandlers(loads, load, plan);
  say("measuring creates through kube-apiserver");
  const endToEnd = await measureEndToEnd(client, plan);
  say("measuring memory under churn");
  const memory = await measureMemory(fairlead, client, plan);
  return { reviews, handlers, endToEnd, memory };
}

function say(text: string): void {
  process.stderr.write(`bench: ${text}\n`);
}

const { values } = parseArgs({
  options: { quick: { type: "boolean", default: false }, profile: { type: "string" }, help: { type: "boolean" } },
});
if (values.help) process.stdout.write(`${USAGE}\n`);
else await bench(values.quick ? QUICK_PLAN : FULL_PLAN, { quick: values.quick, profile: values.profile });
