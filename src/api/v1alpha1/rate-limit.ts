import * as z from "zod";
import { withRules } from "../rule.ts";
import { serviceAccounts } from "./clients.ts";
import { integer } from "./common.ts";

/** More than one proxy can do; Linkerd and Envoy both take 32 bits. */
const RATE_MAX = 1_000_000;
const OVERRIDES_MAX = 16;

function rate(description: string): z.ZodInt {
  return integer(1, RATE_MAX, description);
}

const override = z
  .strictObject({
    serviceAccounts,
    requestsPerSecond: rate(
      `What these clients may send together, 1 to ${RATE_MAX}, in place of perClient; at most spec.rateLimit.requestsPerSecond. Required. Example: 50.`,
    ),
  })
  .meta({ description: "Clients with a limit of their own, which they share." });

const rateFields = z.strictObject({
  requestsPerSecond: rate(
    `How many requests each port of each Pod answers in a second, of all clients together, 1 to ${RATE_MAX}. Others get ` +
      "429. Required. Example: 100.",
  ),
  perClient: z.exactOptional(
    rate(
      `How many of them one client may send, told apart by its identity in the mesh, 1 to ${RATE_MAX}; at most ` +
        "requestsPerSecond. Linkerd only. Absent: no limit of its own. Example: 10.",
    ),
  ),
  overrides: z.exactOptional(
    z
      .array(override)
      .min(1)
      .max(OVERRIDES_MAX)
      .meta({
        "x-kubernetes-list-type": "atomic",
        description:
          `1 to ${OVERRIDES_MAX} groups of clients with another limit than perClient. Linkerd only. Absent: none. ` +
          'Example: [{"serviceAccounts": [{"name": "batch", "namespace": "jobs"}], "requestsPerSecond": 50}].',
      }),
  ),
});

/** `spec.rateLimit`. */
export const rateLimit = withRules(rateFields, [
  {
    cel: "!has(self.perClient) || self.perClient <= self.requestsPerSecond",
    holds: ({ perClient, requestsPerSecond }) => perClient === undefined || perClient <= requestsPerSecond,
    wanted: "a limit that is not above requestsPerSecond",
    found: ({ perClient, requestsPerSecond }) => `${perClient} above ${requestsPerSecond}`,
    fix: "lower it, or raise requestsPerSecond",
    path: "perClient",
    reads: ["perClient", "requestsPerSecond"],
  },
  {
    cel: "!has(self.overrides) || self.overrides.all(entry, entry.requestsPerSecond <= self.requestsPerSecond)",
    holds: ({ overrides = [], requestsPerSecond }) =>
      overrides.every((entry) => !(entry.requestsPerSecond > requestsPerSecond)),
    wanted: "limits of which none is above spec.rateLimit.requestsPerSecond",
    found: ({ overrides = [], requestsPerSecond }) =>
      `${Math.max(...overrides.map((entry) => entry.requestsPerSecond))} above ${requestsPerSecond}`,
    fix: "lower them, or raise requestsPerSecond",
    path: "overrides",
    reads: ["overrides", "requestsPerSecond"],
  },
]).meta({
  description:
    "Lets each port of each Pod answer so many requests a second and refuses the others with 429. Nothing is counted " +
    "across Pods: the whole Service answers that many times the number of its Pods. Targets must be Services. Writing it " +
    "needs the verb limit-requests on the policy. Absent: nothing is changed. " +
    'Example: {"requestsPerSecond": 100}.',
});
