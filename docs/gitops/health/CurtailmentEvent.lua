-- Health of a CurtailmentEvent, for Argo CD.
-- Deleted, and kept while the ledger counts its watts.
if obj.metadata.deletionTimestamp ~= nil then
  return { status = "Progressing", message = "is being deleted" }
end
-- The API server gives every new object observedGeneration -1.
local status = obj.status or {}
if status.observedGeneration == nil or status.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "the operator has not taken the newest spec in" }
end
local conditions = {}
for _, condition in ipairs(status.conditions or {}) do
  conditions[condition.type] = condition
end
local stalled, ready = conditions["Stalled"], conditions["Ready"]
if stalled ~= nil and stalled.status == "True" then
  return { status = "Degraded", message = stalled.reason .. ": " .. stalled.message }
end
if ready == nil or ready.status ~= "True" then
  return { status = "Progressing", message = ready and ready.message or "the operator has said nothing yet" }
end
-- An event that was missed stays so; it holds no rollout.
local met = conditions["Met"]
if met ~= nil and met.status == "False" then
  return { status = "Healthy", message = met.reason .. ": " .. met.message }
end
return { status = "Healthy", message = ready.message }
