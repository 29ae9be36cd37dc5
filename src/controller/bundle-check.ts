import { isIssuedBy, readCertificate, readCertificates } from "./certificate-material.ts";

/** Whether there are webhooks, and each accepts a serving certificate. `bundles` are PEM texts, one for each webhook. */
export function isInBundles(certPem: string, bundles: readonly string[]): boolean {
  const leaf = readCertificate(certPem);
  if (leaf === undefined || bundles.length === 0) return false;
  return bundles.every((pem) => readCertificates(pem).certificates.some((ca) => isIssuedBy(leaf.x509, ca.x509)));
}
