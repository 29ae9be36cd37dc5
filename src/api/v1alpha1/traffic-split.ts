import * as z from "zod";
import { withKeyword, withRules } from "../rule.ts";
import { integer, objectName } from "./common.ts";
import { listMap, uniqueBy } from "./lists.ts";
import { matches } from "./routes.ts";

/** The Gateway API's limits for backendRefs of a rule and their weights. */
const BACKENDS_MAX = 16;
const WEIGHT_MAX = 1_000_000;

const backend = z
  .strictObject({
    name: objectName(
      'Name of a Service in the namespace of the policy; the target itself may be one of them. Required. Example: "web-v2".',
      "Write the metadata.name of the Service, without its namespace",
    ),
    weight: integer(
      0,
      WEIGHT_MAX,
      `Its share, relative to the sum of all weights, 0 to ${WEIGHT_MAX}; 0 sends it nothing. Required. Example: 20.`,
    ),
    port: z.exactOptional(
      integer(
        1,
        65_535,
        "The port of the Service, 1 to 65535. Absent: the port that the request is for. Example: 8080.",
      ),
    ),
  })
  .meta({ description: "One Service with its share of the requests." });

const backends = withRules(
  withKeyword(z.array(backend).min(1).max(BACKENDS_MAX), listMap("name"), [uniqueBy("name", "each Service once")]),
  [
    {
      cel: "self.exists(backend, backend.weight > 0)",
      holds: (list) => list.some(({ weight }) => weight > 0),
      wanted: "weights of which at least one is above 0",
      found: () => "only weights of 0",
      fix: "give a weight above 0 to each Service that is to get requests",
    },
  ],
);

/** `spec.trafficSplit`. */
export const trafficSplit = z
  .strictObject({
    backends: backends.meta({
      description:
        `1 to ${BACKENDS_MAX} Services among which the requests are divided by weight, each request by chance. The ` +
        'weights must not all be 0. Required. Example: [{"name": "web-v1", "weight": 80}, {"name": "web-v2", "weight": 20}].',
    }),
    matches: z.exactOptional(
      matches.meta({
        description:
          "1 to 8 matches, as those of an entry of routes, beside which they stand: where both fit a request, the more " +
          "specific match counts. Other requests go to the target. Absent: every request is divided, also those of " +
          'routes. Example: [{"headers": [{"name": "x-canary", "value": "yes"}]}].',
      }),
    ),
  })
  .meta({
    description:
      "Sends requests for the targets to other Services, by weight. Targets must be Services. On Istio the weights of a " +
      "VirtualService, on Linkerd those of HTTPRoutes, where the share of a backend without a ready endpoint goes to the " +
      'others. Absent: nothing is changed. Example: {"backends": [{"name": "web-v1", "weight": 80}, {"name": "web-v2", "weight": 20}]}.',
  });
