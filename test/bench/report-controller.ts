import { GOALS, PATCH_CONCURRENCY } from "./limits.ts";
import type { PropagationResult } from "./propagation.ts";
import { type Goal, table, withSpread } from "./report-table.ts";
import type { Both, ScaleResult } from "./scale.ts";
import type { SettledResult } from "./settled.ts";

/** What the controller does, of each part that was measured. */
export interface ControllerResults {
  readonly propagation?: PropagationResult;
  readonly scale?: ScaleResult;
  readonly settled?: SettledResult;
}

export function controllerGoals({ propagation, scale, settled }: ControllerResults): readonly Goal[] {
  return [
    ...(propagation ? propagationGoals(propagation) : []),
    ...(scale ? strangerGoals(scale) : []),
    ...(settled ? [settledGoal(settled)] : []),
  ];
}

function propagationGoals({ services, ratio, fairleadMs }: PropagationResult): readonly Goal[] {
  const what = `One change to ${inThousands(services)} Services`;
  return [
    {
      name: `${what}, Fairlead / bare client`,
      wanted: `at most ${GOALS.propagationRatioMax}`,
      found: withSpread(ratio, 3),
      met: ratio.median <= GOALS.propagationRatioMax,
    },
    {
      name: what,
      wanted: `under ${GOALS.propagationMsMax / 1_000} s`,
      found: `${inSeconds(fairleadMs)} s`,
      met: fairleadMs.median < GOALS.propagationMsMax,
    },
  ];
}

function strangerGoals({ strangerHeap: { small, large } }: ScaleResult): readonly Goal[] {
  const most = Math.max(small.controller, small.admission);
  const more = Math.max(large.controller - small.controller, large.admission - small.admission);
  return [
    {
      name: "Heap for a Service of a namespace that did not opt in",
      wanted: `at most ${GOALS.strangerBytesMax} bytes`,
      found: `${most.toFixed(0)} bytes`,
      met: most <= GOALS.strangerBytesMax,
    },
    {
      name: "What a large one of them costs more than a small one",
      wanted: `at most ${GOALS.strangerSizeBytesMax} bytes`,
      found: `${more.toFixed(0)} bytes`,
      met: more <= GOALS.strangerSizeBytesMax,
    },
  ];
}

function settledGoal({ writes, windowMs, what }: SettledResult): Goal {
  return {
    name: `Writes of a settled cluster in ${Math.round(windowMs / 1_000)} s, Leases aside`,
    wanted: `at most ${GOALS.settledWritesMax}`,
    found: [String(writes), ...what].join(" "),
    met: writes <= GOALS.settledWritesMax,
  };
}

export function controllerSections({ propagation, scale, settled }: ControllerResults): readonly string[] {
  return [
    ...(propagation ? [propagationSection(propagation)] : []),
    ...(scale ? [scaleSection(scale)] : []),
    ...(settled ? [settledSection(settled)] : []),
  ];
}

function propagationSection(result: PropagationResult): string {
  const { services, rounds, bareMs, fairleadMs, firstWriteMs, ratio } = result;
  const text = [
    `One policy selects ${inThousands(services)} Services of one namespace, and is changed. Admission and controller are two ` +
      "processes, with the chart's flags and the token of a service account each. Times are those of the API server's audit log.",
    "",
    `**Bare client**: ${PATCH_CONCURRENCY} requests at a time over \`node:https\` (\`test/bench/bare-client.ts\`), with the ` +
      "same requests as the controller's, byte for byte: the revision label and the resourceVersion of each Service. The " +
      "webhook is Fairlead's, already knows the changed policy and injects the same values, so the same objects are stored. All " +
      "requests are made before its clock runs, from the first request to the last answer, and the controller is held still " +
      "(SIGSTOP) meanwhile. **Fairlead**: from the write of the policy to the last answer; with it come the wait until " +
      "admission has heard of the change, the watch that brings every written Service back, the check of every answer, the " +
      "audit log line for each write, and the status of the policy.",
  ].join("\n");
  const rows = [
    ["bare client, s", inSeconds(bareMs)],
    ["Fairlead, s", inSeconds(fairleadMs)],
    ["of that until the first write is received, s", inSeconds(firstWriteMs)],
    ["Fairlead / bare client", withSpread(ratio, 2)],
    ["CPU of the controller, ms", withSpread(result.controllerCpuMs, 0)],
    ["CPU of admission, ms", withSpread(result.admissionCpuMs, 0)],
    ["CPU of admission while the bare client writes, ms", withSpread(result.bareAdmissionCpuMs, 0)],
    ["writes of the controller that were refused, in all rounds", String(result.refused)],
    ["heap of the controller after a full collection, before the rounds, MiB", result.heapStartMiB.toFixed(1)],
    ["heap of the controller after a full collection, after the rounds, MiB", result.heapEndMiB.toFixed(1)],
  ];
  const title = `## One change to ${inThousands(services)} Services`;
  return `${title}\n\n${text}\n\n${table([`${rounds} rounds`, ""], rows)}`;
}

function scaleSection(result: ScaleResult): string {
  const { services, strangers, creationMs, propagationMs, largeAnnotationBytes } = result;
  const text =
    `First ${inThousands(strangers)} Services in two namespaces that did not opt in, half as teams write them, half with an ` +
    `annotation of ${largeAnnotationBytes / 1024} KiB more; then ${inThousands(services)} in one namespace that did, created ` +
    `through the webhook in ${seconds(creationMs)} s, all selected by one policy. One change of that policy reached the last ` +
    `of them after ${seconds(propagationMs)} s. Measured once.`;
  const row = (name: string, { controller, admission }: Both, digits = 0): readonly string[] => [
    name,
    controller.toFixed(digits),
    admission.toFixed(digits),
  ];
  const mib = (name: string, { controller, admission }: Both): readonly string[] =>
    row(name, { controller: controller / BYTES_PER_MIB, admission: admission / BYTES_PER_MIB }, 1);
  const { strangerHeap, strangerRss } = result;
  const rows = [
    row("not opted in, small: heap for each, bytes", strangerHeap.small),
    row("not opted in, large: heap for each, bytes", strangerHeap.large),
    row("not opted in, small: RSS for each, bytes", strangerRss.small),
    row("not opted in, large: RSS for each, bytes", strangerRss.large),
    mib(`heap before the ${inThousands(services)} that did, MiB`, result.heapBefore),
    mib("heap after, MiB", result.heapAfter),
    mib("RSS before, MiB", result.rssBefore),
    mib("RSS after, MiB", result.rssAfter),
    mib("RSS, the largest since the start, MiB", result.rssPeak),
  ];
  const title = `## ${inThousands(services)} Services`;
  const note = "Heap and RSS are read after a full collection.";
  return `${title}\n\n${text}\n\n${table(["", "Controller", "Admission"], rows)}\n\n${note}`;
}

function settledSection(result: SettledResult): string {
  const { windowMs, resyncPeriod, writes, writesAtStart, leaseWrites, looks, controllerCpu } = result;
  const text =
    `A new controller with \`--resync-period ${resyncPeriod}\` in the cluster of the rows above, in which nobody else writes, for ` +
    `${seconds(windowMs)} s; counted in the API server's audit log, for both users of Fairlead.`;
  const rows = [
    ["writes, Leases aside", String(writes)],
    ["writes of the new controller before that, Leases aside", String(writesAtStart)],
    ["writes of Leases", String(leaseWrites)],
    ["targets looked at", inThousands(looks)],
    ["CPU of the controller, part of one core", `${(controllerCpu * 100).toFixed(1)} %`],
  ];
  return `## A settled cluster\n\n${text}\n\n${table(["", ""], rows)}`;
}

const BYTES_PER_MIB = 1024 * 1024;

function inThousands(count: number): string {
  return count.toLocaleString("en");
}

function seconds(milliseconds: number): string {
  return (milliseconds / 1_000).toFixed(1);
}

function inSeconds({ median, min, max }: PropagationResult["ratio"]): string {
  return withSpread({ median: median / 1_000, min: min / 1_000, max: max / 1_000 }, 2);
}
