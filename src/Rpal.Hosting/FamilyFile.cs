using System.Text.Json;

namespace Rpal.Hosting;

/// <summary>The text of a <c>family.json</c>, read field by field, so that every complaint is in the words of the file.</summary>
internal static class FamilyFile
{
    private const int FileBytesLimit = 1 << 20;
    private const double SecondsLimit = 86_400;

    private static readonly string[] s_familyFields = ["members", "onHostExit", "accounting", "traceMembers"];
    private static readonly string[] s_memberFields =
        ["name", "command", "arguments", "environment", "workingDirectory", "restart", "restartLimit", "dependsOn", "ready", "readyTimeout", "stopGrace"];

    /// <summary>Some editors put it before UTF-8.</summary>
    private static readonly byte[] s_byteOrderMark = [0xef, 0xbb, 0xbf];

    private static readonly JsonDocumentOptions s_json = new() { MaxDepth = JsonScan.DepthLimit, CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true };

    /// <exception cref="FormatException">Not a family file; says where.</exception>
    /// <exception cref="IOException">It cannot be read.</exception>
    public static FamilyDefinition Read(string path)
    {
        var file = new FileInfo(path);
        if (!file.Exists)
        {
            throw new FileNotFoundException($"{path}: no such file.", path);
        }

        if (file.Length > FileBytesLimit)
        {
            throw new FormatException($"{path}: {file.Length} bytes; a family file has at most {FileBytesLimit}.");
        }

        byte[] text = File.ReadAllBytes(path);
        text = text.AsSpan().StartsWith(s_byteOrderMark) ? text[s_byteOrderMark.Length..] : text;
        JsonScan.Check(text, path);
        using JsonDocument document = JsonDocument.Parse(text, s_json);
        return Family(new JsonFields(document.RootElement, path, s_familyFields), path);
    }

    private static FamilyDefinition Family(JsonFields f, string path)
    {
        List<MemberDefinition> members = [];
        foreach (JsonElement m in f.List("members") ?? throw new FormatException($"{path}: has no \"members\", the list of programs."))
        {
            members.Add(Member(m, $"{path}: member {members.Count + 1}", path));
        }

        return new FamilyDefinition(members)
        {
            OnHostExit = f.Choice("onHostExit", OnHostExit),
            Accounting = f.Flag("accounting"),
            TraceMembers = f.Flag("traceMembers"),
        };
    }

    private static MemberDefinition Member(JsonElement element, string where, string path)
    {
        if (element.ValueKind == JsonValueKind.Object && element.TryGetProperty("name", out JsonElement name) && name.ValueKind == JsonValueKind.String)
        {
            where = $"{path}: member {name.GetString()}";
        }

        var f = new JsonFields(element, where, s_memberFields);
        double? limit = f.Number("restartLimit", 1, int.MaxValue, whole: true);
        return new MemberDefinition
        {
            Name = f.Text("name") ?? throw f.Wrong("has no \"name\""),
            Command = f.Text("command") ?? throw f.Wrong("has no \"command\""),
            Arguments = f.Texts("arguments"),
            Environment = f.Map("environment"),
            WorkingDirectory = f.Find("workingDirectory") is { ValueKind: JsonValueKind.Null } ? null : f.Text("workingDirectory"),
            Restart = f.Choice("restart", Restart),
            RestartLimit = (int?)limit,
            DependsOn = f.Texts("dependsOn"),
            ReadyServices = Ready(f, where),
            ReadyTimeout = Seconds(f.Number("readyTimeout", 0, SecondsLimit)) ?? MemberDefinition.ReadyTimeoutDefault,
            StopGrace = Seconds(f.Number("stopGrace", 0, SecondsLimit)),
        };
    }

    /// <summary>The restart policies as files and command lines have them.</summary>
    public static (string, RestartPolicy)[] Restart { get; } = [("no", RestartPolicy.No), ("on-failure", RestartPolicy.OnFailure), ("always", RestartPolicy.Always)];

    public static (string, HostExitPolicy)[] OnHostExit { get; } = [("stop", HostExitPolicy.Stop), ("kill", HostExitPolicy.Kill), ("continue", HostExitPolicy.Continue)];

    private static IReadOnlyList<string> Ready(JsonFields f, string where)
    {
        if (f.Find("ready") is not { } element)
        {
            return [];
        }

        var ready = new JsonFields(element, $"{where}: \"ready\"", ["service"]);
        return ready.Find("service") is { ValueKind: JsonValueKind.Array } ? ready.Texts("service")
            : [ready.Text("service") ?? throw ready.Wrong("names no \"service\"; it takes { \"service\": \"NAME\" } or { \"service\": [\"NAME\", \"OTHER\"] }")];
    }

    private static TimeSpan? Seconds(double? seconds) => seconds is { } s ? TimeSpan.FromSeconds(s) : null;
}
