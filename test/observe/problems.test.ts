import { expect, test } from "vitest";
import { createLog } from "../../src/observe/log.ts";
import { problemReporter } from "../../src/observe/opentelemetry-problems.ts";

const MESSAGE = "spans may be lost; look at the collector and the OTEL_ variables";

function reporter(): {
  report: (problem: string) => void;
  lines: Record<string, unknown>[];
  pass: (ms: number) => void;
} {
  const lines: Record<string, unknown>[] = [];
  let nowMs = 0;
  const { log } = createLog({ level: "info", destination: { write: (line) => lines.push(JSON.parse(line)) } });
  return { report: problemReporter(log, () => nowMs), lines, pass: (ms) => (nowMs += ms) };
}

test("one line a minute, with the number of those that were held back", () => {
  const { report, lines, pass } = reporter();
  for (let count = 0; count < 4; count += 1) report("first");
  pass(59_999);
  report("held back");
  expect(lines).toMatchObject([{ level: "warn", problem: "first", suppressed: 0, msg: MESSAGE }]);
  pass(1);
  report("second");
  pass(60_000);
  report("third");
  expect(lines.slice(1)).toMatchObject([
    { level: "warn", problem: "second", suppressed: 4, msg: MESSAGE },
    { level: "warn", problem: "third", suppressed: 0, msg: MESSAGE },
  ]);
});

test.each([
  ["plain text", "Dropped 7 spans because maxQueueSize reached", "Dropped 7 spans because maxQueueSize reached"],
  [
    "an error without its stack",
    JSON.stringify({ stack: "Error: at somewhere", message: "connect refused", code: "ECONNREFUSED", name: "Error" }),
    "Error: ECONNREFUSED: connect refused",
  ],
  ["what only looks like JSON", "{oops", "{oops"],
  ["no password of a URL", "no answer from https://me:secret@host/v1", "no answer from https://[redacted]@host/v1"],
  ["300 characters at most", "x".repeat(1_000), "x".repeat(300)],
])("shows %s", (_, problem, expected) => {
  const { report, lines } = reporter();
  report(problem);
  expect(lines).toMatchObject([{ problem: expected }]);
});
