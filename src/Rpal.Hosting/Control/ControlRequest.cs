using System.Text.Json;
using System.Text.Json.Serialization;

namespace Rpal.Hosting.Control;

/// <summary>One request to a host: a line of JSON. Answers: lines of JSON, the last with "ok" or "error".</summary>
/// <remarks><code>
/// {"op":"ps"}                                          {"ok":true,"status":{...}}
/// {"op":"logs","members":["a"],"tail":10,"follow":true} {"line":{"utc":...,"member":"a","isError":false,"text":base64}} ... {"ok":true}
/// {"op":"stop","member":"a"}                           {"ok":true}       without a member: the family
/// {"op":"restart","member":"a","command":["x","y"]}    {"ok":true}       without a command: as the family file has it now
/// {"op":"kill","member":"a","signal":15}               {"error":"..."}      "exitCode":127 with it: what the program's start would have exited with
/// </code></remarks>
internal sealed record ControlRequest(string Op)
{
    public string? Member { get; init; }

    public IReadOnlyList<string>? Members { get; init; }

    public IReadOnlyList<string>? Command { get; init; }

    public int Tail { get; init; } = int.MaxValue;

    public bool Follow { get; init; }

    public int Signal { get; init; }

    /// <summary>The deserializer leaves a list's elements unchecked: null gets through, and what no name or argument can contain.</summary>
    /// <exception cref="FormatException">Says what is wrong.</exception>
    public void Check()
    {
        if (Members?.Any(string.IsNullOrEmpty) == true)
        {
            throw new FormatException("\"members\" takes names, and contains null or an empty one.");
        }

        foreach (string? word in Command ?? [])
        {
            if (word is null || word.Contains('\0'))
            {
                throw new FormatException($"\"command\" takes a program and its arguments, and contains {(word is null ? "null" : "a zero character")}.");
            }
        }

        if (Command is [] or ["", ..])
        {
            throw new FormatException("\"command\" names no program.");
        }
    }
}

/// <summary>One line of an answer.</summary>
internal sealed record ControlAnswer
{
    public bool? Ok { get; init; }

    public string? Error { get; init; }

    /// <summary>With an error: what rpal exits with, when that is not the one for wrong usage.</summary>
    public int? ExitCode { get; init; }

    public FamilyStatus? Status { get; init; }

    public LogLine? Line { get; init; }
}

/// <summary>How requests and answers are written.</summary>
internal static class ControlJson
{
    /// <summary>Of a request; also of one argument list.</summary>
    public const int RequestBytesLimit = 64 << 10;

    public static readonly JsonSerializerOptions Options = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull,
        RespectNullableAnnotations = true,
    };
}
