module fairlead.dev/control-plane/gateway-api

go 1.26.0

// Only the module's own files are read (its CRDs), so no package is imported and "go mod tidy" would drop this line.
require sigs.k8s.io/gateway-api v1.6.3
