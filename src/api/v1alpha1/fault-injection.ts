import * as z from "zod";
import { withRules } from "../rule.ts";
import { duration, integer } from "./common.ts";
import { matches } from "./routes.ts";

function percent(description: string): z.ZodInt {
  return integer(1, 100, `How many of the requests, in percent, 1 to 100, each by chance. Required. ${description}`);
}

const abort = z
  .strictObject({
    percent: percent("Example: 10."),
    status: integer(400, 599, "The status code of the answer, 400 to 599. Required. Example: 503."),
  })
  .meta({ description: "Answers some requests with an error before they reach a server. Absent: none." });

const delay = z
  .strictObject({
    percent: percent("Example: 50."),
    duration: duration('How long they wait before they are sent on. Required. Example: "2s".'),
  })
  .meta({ description: "Lets some requests wait before they are sent on. Absent: none." });

const faultFields = z.strictObject({
  abort: z.exactOptional(abort),
  delay: z.exactOptional(delay),
  matches: z.exactOptional(
    matches.meta({
      description:
        "1 to 8 matches, as those of an entry of routes; a request gets faults when one of them fits. Absent: every " +
        'request. Example: [{"headers": [{"name": "x-chaos", "value": "on"}]}].',
    }),
  ),
});

/** `spec.faultInjection`. */
export const faultInjection = withRules(faultFields, [
  {
    cel: "has(self.abort) || has(self.delay)",
    holds: (fault) => fault.abort !== undefined || fault.delay !== undefined,
    wanted: "at least one of abort and delay",
    found: () => "none of them",
    fix: "add the fault you want, for example abort: {percent: 10, status: 503}, or remove faultInjection",
  },
]).meta({
  description:
    "Makes requests to the targets fail or wait on purpose, to try out what their clients do. Targets must be Services. " +
    "Writing it needs the verb inject-faults on the policy. On Istio the fault of a VirtualService; refused on Linkerd, " +
    'which has none. Absent: nothing is changed. Example: {"abort": {"percent": 10, "status": 503}}.',
});
