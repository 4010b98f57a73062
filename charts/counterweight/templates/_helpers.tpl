{{/* Labels of everything. */}}
{{- define "counterweight.labels" -}}
app.kubernetes.io/name: counterweight
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}

{{/* What selects the operator's pods. Never change: selectors are immutable. */}}
{{- define "counterweight.selector" -}}
app.kubernetes.io/name: counterweight
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/component: operator
{{- end }}

{{/* The user as which the policies know the operator. */}}
{{- define "counterweight.operator" -}}
system:serviceaccount:{{ .Release.Namespace }}:counterweight-operator
{{- end }}

{{/* The accelerator table in force: the site's own, else the built-in one. */}}
{{- define "counterweight.accelerators" -}}
{{- if .Values.accelerators }}
{{- toYaml .Values.accelerators }}
{{- else }}
{{- .Files.Get "files/accelerators.yaml" }}
{{- end }}
{{- end }}

{{/* The exact names of the table, as a CEL map. */}}
{{- define "counterweight.acceleratorNames" -}}
{{- $names := list }}
{{- range (include "counterweight.accelerators" . | fromYaml).accelerators }}
{{- with .name }}{{ $names = append $names (printf "'%s': true" .) }}{{ end }}
{{- end }}
{{- "{" }}{{ join ",\n" ($names | sortAlpha) | nindent 8 }}
      }
{{- end }}

{{/* The prefixes of the table, as further terms of a CEL expression. */}}
{{- define "counterweight.acceleratorPrefixes" -}}
{{- $prefixes := list }}
{{- range (include "counterweight.accelerators" . | fromYaml).accelerators }}
{{- with .prefix }}{{ $prefixes = append $prefixes (printf "|| k.startsWith('%s')" .) }}{{ end }}
{{- end }}
{{- join "\n" ($prefixes | sortAlpha) | nindent 8 }}
{{- end }}
