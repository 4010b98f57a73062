{{/* Where the operator's image runs, and as whom: the same for the operator, the test and the uninstall. */}}
{{- define "counterweight.pod" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets: {{- toYaml . | nindent 0 }}
{{- end }}
{{- with .Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.nodeSelector }}
nodeSelector: {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .Values.tolerations }}
tolerations: {{- toYaml . | nindent 0 }}
{{- end }}
{{- end }}

{{- define "counterweight.image" -}}
image: {{ .Values.image.repository }}:{{ or .Values.image.tag .Chart.AppVersion }}
imagePullPolicy: {{ or .Values.image.pullPolicy "IfNotPresent" }}
{{- end }}

{{- define "counterweight.securityContext" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}
