import { expect, test } from "vitest";
import type { Call } from "../../src/http/admission.ts";
import { selfReview } from "../../src/http/self-review.ts";

const OPTIONS = { serverName: "localhost", host: "127.0.0.1", port: 1, pathSecret: "a".repeat(32), caPem: "" };

test("a port that does not answer is an error that says what was tried", async () => {
  await expect(selfReview(OPTIONS)).rejects.toThrow(/^Cannot serve: the self-review failed: .*ECONNREFUSED/);
});

test.each([
  [200, undefined],
  [500, "Cannot serve: the self-review was answered with HTTP 500, wanted 200"],
])("in process, an answer of %i", async (status, message) => {
  const asked: string[] = [];
  const inProcess = (door: string, { body }: Call) => {
    asked.push(`${door} ${(JSON.parse(body.toString()) as { kind: string }).kind}`);
    return { status, body: "{}" };
  };
  const reviewed = selfReview({ ...OPTIONS, inProcess });
  if (message === undefined) await reviewed;
  else await expect(reviewed).rejects.toThrow(message);
  expect(asked).toEqual(["validate AdmissionReview"]);
});
