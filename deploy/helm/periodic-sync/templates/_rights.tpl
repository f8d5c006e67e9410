{{- /*
A ServiceAccount's rights, from the role that the manifests for kustomize have. With one namespace to serve, only what is
of the cluster itself is granted in the cluster. Given: root, name (of role and bindings), account, file.
*/ -}}
{{- define "periodic-sync.rights" -}}
{{- $ofCluster := list "namespaces" "customresourcedefinitions" "tokenreviews" "subjectaccessreviews" }}
{{- $inCluster := list }}
{{- $inNamespace := list }}
{{- range (.root.Files.Get .file | fromYaml).rules }}
{{- if or (not $.root.Values.operator.namespace) (has (first .resources) $ofCluster) }}
{{- $inCluster = append $inCluster . }}
{{- else }}
{{- $inNamespace = append $inNamespace . }}
{{- end }}
{{- end }}
{{- range $kind, $rules := dict "ClusterRole" $inCluster "Role" $inNamespace }}
{{- if $rules }}
{{- $name := eq $kind "Role" | ternary $.name (printf "%s%s" $.name (include "periodic-sync.suffix" $.root)) }}
{{- $metadata := dict "name" $name "labels" (include "periodic-sync.labels" $.root | fromYaml) }}
{{- if eq $kind "Role" }}
{{- $_ := set $metadata "namespace" $.root.Values.operator.namespace }}
{{- end }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $kind }}
metadata: {{ toYaml $metadata | nindent 2 }}
rules: {{ toYaml $rules | nindent 2 }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: {{ $kind }}Binding
metadata: {{ toYaml $metadata | nindent 2 }}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: {{ $kind }}, name: {{ $name }}}
subjects:
  - {kind: ServiceAccount, name: {{ $.account }}, namespace: {{ $.root.Release.Namespace }}}
{{- end }}
{{- end }}
{{- end }}
