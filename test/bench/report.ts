import { cpus, release, totalmem } from "node:os";
import type { CapturedReview } from "./capture.ts";
import type { EndToEndResult } from "./end-to-end.ts";
import type { HandlerResult, Measured } from "./handler.ts";
import { GOALS, type Plan, POLICIES, SERVICES } from "./limits.ts";
import type { MemoryResult } from "./memory.ts";
import { rulesGoals, rulesSection } from "./report-rules.ts";
import type { RulesResult } from "./rules.ts";
import { type MeshReport, meshSections } from "./report-mesh.ts";
import { controllerGoals, type ControllerResults, controllerSections } from "./report-controller.ts";
import { type Goal, table, withSpread } from "./report-table.ts";
import type { Spread } from "./statistics.ts";

/** Of each part that was measured. */
export interface Results extends ReviewResults, ControllerResults {
  /** Where a part of it was asked for. */
  readonly meshReport?: MeshReport;
  readonly plan: Plan;
  /** Flags that make it less than the whole. */
  readonly flags: readonly string[];
  readonly durationMs: number;
  readonly date: Date;
  /** Runnable processes on the machine in the minute before the start: how much else it had to do. */
  readonly loadBefore: number;
}

export interface ReviewResults {
  readonly handlers?: { readonly reviews: readonly CapturedReview[]; readonly results: readonly HandlerResult[] };
  readonly endToEnd?: EndToEndResult;
  readonly memory?: MemoryResult;
  readonly rules?: RulesResult;
}

export function goals(results: Results): readonly Goal[] {
  const { handlers, endToEnd, memory } = results;
  return [
    ...(handlers ? handlerGoals(handlers.results) : []),
    ...(endToEnd ? [endToEndGoal(endToEnd)] : []),
    ...(memory ? [memoryGoal(memory)] : []),
    ...(results.rules ? rulesGoals(results.rules) : []),
    ...controllerGoals(results),
  ];
}

function handlerGoals(handlers: readonly HandlerResult[]): readonly Goal[] {
  const above = Math.max(...handlers.map(({ fairlead, bare }) => fairlead.rssMiB.median - bare.rssMiB.median));
  return [
    ...handlers.map((result) => ({
      name: `CPU of one review, Fairlead / bare: ${result.operation}, concurrency ${result.concurrency}`,
      wanted: `at most ${GOALS.cpuRatioMax}`,
      found: withSpread(result.cpuRatio, 3),
      met: result.cpuRatio.median <= GOALS.cpuRatioMax,
    })),
    ...handlers
      .filter((result) => result.concurrency === 1)
      .map(({ operation, fairlead: { p99Ms } }) => ({
        name: `p99 of one review: ${operation}, concurrency 1`,
        wanted: `under ${GOALS.handlerP99MsMax} ms`,
        found: `${withSpread(p99Ms, 2)} ms`,
        met: p99Ms.median < GOALS.handlerP99MsMax,
      })),
    {
      name: "RSS above the bare server under load, the largest of the four",
      wanted: `at most ${GOALS.memoryAboveBareMiBMax} MiB`,
      found: `${above.toFixed(0)} MiB`,
      met: above <= GOALS.memoryAboveBareMiBMax,
    },
  ];
}

function endToEndGoal(endToEnd: EndToEndResult): Goal {
  return {
    name: "p50 added to a Service create, Fairlead / bare",
    wanted: `at most ${GOALS.endToEndRatioMax}`,
    found: withSpread(endToEnd.ratio, 3),
    met: endToEnd.ratio.median <= GOALS.endToEndRatioMax,
  };
}

function memoryGoal(memory: MemoryResult): Goal {
  const growth = memory.churnEndMiB - memory.churnStartMiB;
  return {
    name: "RSS under churn, last third above the first",
    wanted: `at most ${GOALS.churnGrowthMiBMax} MiB`,
    found: `${growth.toFixed(1)} MiB`,
    met: growth <= GOALS.churnGrowthMiBMax,
  };
}

/** docs/performance.md, whole. */
export function renderReport(results: Results): string {
  const { handlers, endToEnd, memory, plan } = results;
  const sections = [
    introduction(results),
    goalTable(results),
    ...(handlers ? [handlerSection(handlers, plan)] : []),
    ...(endToEnd ? [endToEndSection(endToEnd, plan)] : []),
    ...(memory ? [memorySection(memory, plan)] : []),
    ...(results.rules ? [rulesSection(results.rules, plan)] : []),
    ...controllerSections(results),
    ...meshSections(results.meshReport ?? {}),
  ];
  return `${sections.join("\n\n")}\n`;
}

function introduction({ flags, date, durationMs, loadBefore }: Results): string {
  const [cpu] = cpus();
  const machine = `${cpus().length} cores of ${cpu?.model ?? "an unknown CPU"}, ${(totalmem() / 2 ** 30).toFixed(0)} GiB`;
  return [
    "# Performance",
    "",
    `Written by \`npm run bench${flags.length > 0 ? ` -- ${flags.join(" ")}` : ""}\` on ${date.toISOString().slice(0, 10)}; do not edit.`,
    "",
    `Machine: ${machine}, ${process.platform} ${release()}, Node ${process.version}; the run took ${Math.round(durationMs / 1_000)} s; ` +
      `load average in the minute before it: ${loadBefore.toFixed(1)}. ` +
      "Servers, load, kube-apiserver and etcd share these cores. Each figure is the median of rounds in which the two servers " +
      "take turns; the smallest and the largest round are in brackets. What else the machine does shows in every figure, also in " +
      "CPU times and ratios: compare runs by their brackets.",
    "",
    "**Bare** is the yardstick of reviews and creates: a `node:https` server of some 75 lines (`test/bench/bare-server.ts`) that parses the review, adds " +
      "the five annotations of a circuit breaker and a record where they are missing, and says yes at the validating door. It " +
      "checks nothing, counts nothing, logs nothing. **Fairlead** is `fairlead serve --role admission`, beside its controller, as in a pod: flags of node as in the image, token and CA of a service " +
      `account, log at info (a line for each review that changes or finds something) into a file, ${POLICIES} policies and more than ${SERVICES.toLocaleString("en")} Services, all in ` +
      "the one namespace that is asked for.",
  ].join("\n");
}

function goalTable(results: Results): string {
  const rows = goals(results).map(({ name, wanted, found, met }) => [name, wanted, found, met ? "met" : "**MISSED**"]);
  return `## Goals\n\n${table(["", "Goal", "Found", ""], rows)}`;
}

const HANDLER_ROWS: readonly (readonly [name: string, of: (measured: Measured) => Spread, digits: number])[] = [
  ["CPU a request, µs", (measured) => measured.cpuMicros, 0],
  ["requests a second", (measured) => measured.requestsPerSecond, 0],
  ["p50, ms", (measured) => measured.p50Ms, 2],
  ["p95, ms", (measured) => measured.p95Ms, 2],
  ["p99, ms", (measured) => measured.p99Ms, 2],
  ["event-loop delay p99, ms", (measured) => measured.loopDelayP99Ms, 1],
  ["longest GC pause, ms", (measured) => measured.gcPauseMaxMs, 1],
  ["RSS, MiB", (measured) => measured.rssMiB, 0],
];

function handlerSection({ reviews, results }: NonNullable<Results["handlers"]>, plan: Plan): string {
  const operations = [...new Set(reviews.map((review) => review.operation))];
  const sizes = operations.map((operation) => `${operation} ${sizesOf(reviews, operation)}`).join(", ");
  const text =
    `${reviews.length} reviews captured from kube-apiserver in this run, both doors alike: \`kubectl apply\` of new and of ` +
    `changed Services (${sizes}), over TLS connections that are kept alive. CPU is user and system time of the whole server ` +
    `process. ${plan.handlerRounds} rounds of ${plan.handlerWindowMs / 1_000} s each.`;
  return ["## One review, at the HTTPS endpoint", text, ...results.map(handlerTable)].join("\n\n");
}

function handlerTable({ operation, concurrency, bare, fairlead, cpuRatio }: HandlerResult): string {
  const rows = HANDLER_ROWS.map(([name, of, digits], index) => {
    const ratio = index === 0 ? cpuRatio.median : of(fairlead).median / of(bare).median;
    return [name, withSpread(of(bare), digits), withSpread(of(fairlead), digits), ratio.toFixed(2)];
  });
  return `${operation}, concurrency ${concurrency}:\n\n${table(["", "Bare", "Fairlead", "Ratio"], rows)}`;
}

function sizesOf(reviews: readonly CapturedReview[], operation: string): string {
  const kilobytes = reviews
    .filter((review) => review.operation === operation)
    .map((review) => Buffer.byteLength(review.body) / 1_000);
  return `${Math.min(...kilobytes).toFixed(1)} to ${Math.max(...kilobytes).toFixed(1)} KB`;
}

function endToEndSection(endToEnd: EndToEndResult, plan: Plan): string {
  const { p50Ms, addedMs, ratio, creates } = endToEnd;
  const text =
    `${creates} Service creates for each row, one after the other, the rows taking turns create by create; ` +
    `${plan.endToEndRounds} rounds. Both servers are registered for the same two webhooks, mutating and validating, with the ` +
    "same selectors; which one is asked is told by the namespace. Every create is checked to be injected.";
  const rows = [
    ["no webhook", withSpread(p50Ms.none, 2), "", ""],
    ["bare", withSpread(p50Ms.bare, 2), withSpread(addedMs.bare, 2), "1"],
    ["Fairlead", withSpread(p50Ms.fairlead, 2), withSpread(addedMs.fairlead, 2), withSpread(ratio, 2)],
  ];
  return `## A Service create through kube-apiserver\n\n${text}\n\n${table(["", "p50, ms", "Added, ms", "Added / bare"], rows)}`;
}

function memorySection(memory: MemoryResult, plan: Plan): string {
  const mib = (value: number): string => value.toFixed(1);
  const rows = [
    ["RSS in the first third of the churn (median)", mib(memory.churnStartMiB)],
    ["RSS in the last third of the churn (median)", mib(memory.churnEndMiB)],
    ["heap in use after a full collection, before the churn", mib(memory.heapStartMiB)],
    ["heap in use after a full collection, after the churn", mib(memory.heapEndMiB)],
  ];
  const text =
    `Fairlead after all that load, while ${plan.churnCycles} times five policies change and their Services follow, and 40 Services come and go; ` +
    `${memory.writes.toLocaleString("en")} writes in all.`;
  return `## Memory under churn\n\n${text}\n\n${table(["", "MiB"], rows)}`;
}
