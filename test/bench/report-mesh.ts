import type { MeshScaleResult } from "./mesh-scale.ts";
import { DEBOUNCE } from "./mesh-stage.ts";
import type { Percentiles, ProxyResult } from "./proxy.ts";
import { table } from "./report-table.ts";

/** What was measured with a mesh, or why nothing was. */
export interface MeshReport {
  readonly proxy?: ProxyResult;
  readonly mesh?: MeshScaleResult;
  readonly notMeasured?: string;
}

export function meshSections({ proxy, mesh, notMeasured }: MeshReport): readonly string[] {
  if (notMeasured !== undefined) return [`## Until a proxy does as a policy says\n\nNot measured: ${notMeasured}`];
  return [...(proxy ? [proxySection(proxy)] : []), ...(mesh ? [meshSection(mesh)] : [])];
}

const STAGE =
  "A real istiod with its own validation webhook, a real Envoy before one client, both roles of Fairlead as in the chart, in " +
  `a network namespace of one machine. istiod waits ${DEBOUNCE} for more changes before it tells the proxy of one, as it is ` +
  "installed. In force is what the proxy answers with.";

function proxySection(result: ProxyResult): string {
  const text =
    `${STAGE} ${result.changes} changes of a policy, and as many of a VirtualService that a client writes itself, take turns; ` +
    "each asks for another status for every request of a Service (`faultInjection.abort`).";
  const row = (name: string, { p50, p95 }: Percentiles): readonly string[] => [name, p50.toFixed(0), p95.toFixed(0)];
  const rows = [
    row("VirtualService by hand: until it is in force", result.handMs),
    row("policy: until it is in force", result.policyMs),
    row("of that until the policy is written", result.policyWrittenMs),
    row("of that until Fairlead has written the VirtualService", result.companionWrittenMs),
  ];
  return `## Until a proxy does as a policy says\n\n${text}\n\n${table(["ms from the write", "p50", "p95"], rows)}`;
}

const BYTES_PER_MIB = 1024 * 1024;

function meshSection(result: MeshScaleResult): string {
  const inThousands = (count: number): string => count.toLocaleString("en");
  const services = inThousands(result.services);
  const text =
    `${services} Services of one namespace get a policy each, 16 writes at a time; each becomes a VirtualService. Then the ` +
    "proxy is asked for each of them. Measured once.";
  const seconds = (milliseconds: number): string => (milliseconds / 1_000).toFixed(1);
  const times = [
    ["until the last policy is written, s", seconds(result.writtenMs)],
    ["until the proxy has done as each of them says, s", seconds(result.inForceMs)],
    ["until each of them says that it is ready, s", seconds(result.readyMs)],
    ...Object.entries(result.writes).map(([resource, count]) => [
      `writes of Fairlead, ${resource}`,
      inThousands(count),
    ]),
  ];
  const mib = (bytes: number): string => (bytes / BYTES_PER_MIB).toFixed(1);
  const row = (name: string, { controller, admission }: MeshScaleResult["rssAfter"]): readonly string[] => [
    name,
    mib(controller),
    mib(admission),
  ];
  const memory = [
    row("heap before the policies, MiB", result.heapBefore),
    row("heap after, MiB", result.heapAfter),
    row("RSS after, MiB", result.rssAfter),
  ];
  return [
    `## ${services} Services with a policy each, through istiod`,
    text,
    table(["from the first write", ""], times),
    table(["after a full collection", "Controller", "Admission"], memory),
  ].join("\n\n");
}
