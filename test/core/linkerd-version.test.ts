import { describe, expect, test } from "vitest";
import {
  featureSince,
  LINKERD_FEATURES,
  type LinkerdFeature,
  NEWEST_LINKERD,
  parseLinkerdVersion,
  supports,
} from "../../src/core/mesh/linkerd/version.ts";

describe("parseLinkerdVersion()", () => {
  test.each([
    ["2.14", 14],
    ["2.20", 20],
    ["2.16.3", 16],
    ["v2.18", 18],
    ["stable-2.14.10", 14],
    ["version-2.17", 17],
    ["enterprise-2.17.1", 17],
    ["enterprise-2.17.1-2", 17],
    ["2.18.0-rc1", 18],
    ["2.19.4+build.7", 19],
    ["edge-23.8.3", 14],
    ["edge-24.2.3", 14],
    ["edge-24.2.4", 15],
    ["edge-24.8.1", 15],
    ["edge-24.8.2", 16],
    ["edge-24.11.8", 17],
    ["edge-25.4.3", 17],
    ["edge-25.4.4", 18],
    ["edge-25.10.7", 19],
    ["edge-26.6.2", 19],
    ["edge-26.6.3", 20],
    ["edge-26.8.3", 20],
  ])("reads %s as 2.%i", (text, minor) => {
    expect(parseLinkerdVersion(text)).toMatchObject({ text, minor });
  });

  test.each(["2.21", "2.100.3", "3.0", "v10.2", "edge-27.1.1", "edge-99.12.31"])("counts %s as the newest", (text) => {
    expect(`2.${parseLinkerdVersion(text)?.minor}`).toBe(NEWEST_LINKERD);
  });

  test.each([
    "2.13",
    "stable-2.13.7",
    "1.20",
    "0.1",
    "edge-23.8.2",
    "edge-22.12.9",
    "2",
    "",
    " 2.18",
    "2.18 ",
    "edge-24.8",
    "edge-2.18",
    "stable-edge-24.8.2",
    "vv2.18",
    "2.x",
    "latest",
    "git-0ebd74b0",
    "2.99999999999",
    "\uff12.18",
  ])("does not read %j", (text) => {
    expect(parseLinkerdVersion(text)).toBeUndefined();
  });

  test("names the newest version", () => {
    expect(parseLinkerdVersion(NEWEST_LINKERD)).toEqual({ text: "2.20", minor: 20 });
  });
});

/** For each feature: the last versions before it, the first with it and, if it went, the first without it again. */
const SPANS: Readonly<Record<LinkerdFeature, { before: string[]; during: string[]; after?: string[] }>> = {
  consecutiveAccrual: { before: [], during: ["2.14", "edge-23.8.3", "2.20"] },
  retryAndTimeoutAnnotations: { before: ["2.15", "edge-24.7.4"], during: ["edge-24.7.5", "edge-24.8.1", "2.16"] },
  routeWebhookParsesAccrual: {
    before: ["2.15", "edge-24.7.4"],
    during: ["edge-24.7.5", "2.16", "2.19", "edge-26.6.1"],
    after: ["edge-26.6.2", "2.20"],
  },
  routeBackendRequestTimeout: {
    before: [],
    during: ["2.14", "2.15", "edge-24.7.4"],
    after: ["edge-24.7.5", "2.16"],
  },
  serverAccessPolicy: { before: ["2.15", "edge-24.8.1"], during: ["2.16", "edge-24.8.2"] },
  localRateLimit: { before: ["2.16", "edge-24.11.1"], during: ["edge-24.11.2", "2.17", "2.20"] },
  appProtocol: { before: ["2.17", "edge-25.2.3"], during: ["edge-25.3.1", "2.18", "2.20"] },
  gatewayRouteTimeouts: { before: ["2.19", "edge-25.11.2"], during: ["edge-25.11.3", "2.20"] },
  unifiedAccrual: { before: ["2.19", "edge-26.6.1"], during: ["edge-26.6.2", "2.20", "2.21"] },
  trimmedNumbers: { before: ["2.19", "edge-26.6.1"], during: ["edge-26.6.2", "2.20", "2.21"] },
};

describe("supports()", () => {
  test.each(Object.keys(LINKERD_FEATURES) as LinkerdFeature[])(
    "%s comes and goes with the right release",
    (feature) => {
      const { before, during, after = [] } = SPANS[feature];
      const answers = [...before, ...during, ...after].map((text) => {
        const version = parseLinkerdVersion(text);
        return `${text} ${version !== undefined && supports(version, feature)}`;
      });
      expect(answers).toEqual([
        ...before.map((text) => `${text} false`),
        ...during.map((text) => `${text} true`),
        ...after.map((text) => `${text} false`),
      ]);
    },
  );
});

test("featureSince() names both numberings", () => {
  expect(featureSince("retryAndTimeoutAnnotations")).toBe("2.16 (edge-24.7.5)");
});
