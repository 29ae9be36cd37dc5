import { GOALS, type Plan } from "./limits.ts";
import { type Goal, table, withSpread } from "./report-table.ts";
import type { RulesResult, RulesRow } from "./rules.ts";

const CONTENDED = 20;

export function rulesGoals({ reviews, offline, hostile }: RulesResult): readonly Goal[] {
  const withRules = reviews.filter(({ rules }) => rules === CONTENDED);
  return [
    ...withRules
      .filter(({ size }) => !(size in GOALS.rulesP99MsMax))
      .map(({ cpuRatio, size }) => ({
        name: `CPU of one review with ${CONTENDED} rules, Fairlead / bare, ${size}`,
        wanted: `at most ${GOALS.rulesCpuRatioMax}`,
        found: withSpread(cpuRatio, 3),
        met: cpuRatio.median <= GOALS.rulesCpuRatioMax,
      })),
    ...Object.entries(GOALS.rulesP99MsMax).flatMap(([size, maxMs]) =>
      withRules
        .filter((row) => row.size === size)
        .map(({ fairlead: { p99Ms } }) => ({
          name: `p99 of one review with ${CONTENDED} rules, ${size}`,
          wanted: `under ${maxMs} ms`,
          found: `${withSpread(p99Ms, 2)} ms`,
          met: p99Ms.median < maxMs,
        })),
    ),
    {
      name: "CPU until a rule with loops within loops is cut off",
      wanted: `within ${GOALS.cutOffMsMax} ms`,
      found: `${withSpread(offline.cutOffMs, 1)} ms`,
      met: offline.cutOffMs.max <= GOALS.cutOffMsMax,
    },
    {
      name: `CPU of the event loop until the slowest of ${hostile.rules} hostile rules is cut off`,
      wanted: `within ${GOALS.cutOffMsMax} ms`,
      found: `${withSpread(hostile.slowestMs, 1)} ms`,
      met: hostile.slowestMs.max <= GOALS.cutOffMsMax,
    },
  ];
}

export function rulesSection({ reviews, offline, hostile }: RulesResult, plan: Plan): string {
  const text =
    "Reviews of new Services at the door of rules, over one connection, beside the bare server's validating door, which " +
    "checks nothing. The rules are ten typical ones (`test/bench/typical-rules.ts`), three of them about what will be in " +
    "force in the mesh, again and again under other names; all of them hold, and one more looks at the name only. Larger " +
    `objects are padded with an annotation. ${plan.handlerRounds} rounds of ${plan.handlerWindowMs / 1_000} s each.`;
  const head = ["Rules", "Object", "CPU, µs, bare", "CPU, µs, Fairlead", "Ratio", "p50, ms", "p99, ms"];
  const { evaluationsPerSecond, rules, serviceKB, cutOffMs, cutOffPorts } = offline;
  const rows = [
    [
      `evaluations of a rule a second: ${rules} typical rules, a Service of ${serviceKB.toFixed(0)} KB`,
      withSpread(evaluationsPerSecond, 0),
    ],
    [
      `CPU until a rule with three loops within each other is cut off, ${cutOffPorts.toLocaleString("en")} ports, ms`,
      withSpread(cutOffMs, 1),
    ],
    [
      `CPU of the event loop until the slowest of ${hostile.rules} hostile rules is cut off (\`${hostile.slowest}\`, again and again), ms`,
      withSpread(hostile.slowestMs, 1),
    ],
  ];
  const offlineText = "Without HTTP, in one process, one core:";
  return ["## Rules", text, table(head, reviews.map(rowOf)), offlineText, table(["", ""], rows)].join("\n\n");
}

function rowOf({ rules, size, bare, fairlead, cpuRatio }: RulesRow): readonly string[] {
  return [
    String(rules),
    size,
    withSpread(bare.cpuMicros, 0),
    withSpread(fairlead.cpuMicros, 0),
    withSpread(cpuRatio, 2),
    withSpread(fairlead.p50Ms, 2),
    withSpread(fairlead.p99Ms, 2),
  ];
}
