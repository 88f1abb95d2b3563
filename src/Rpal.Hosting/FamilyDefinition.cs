using System.Text.Json;
using System.Text.Json.Serialization;
using Rpal.Machine.Blocks;

namespace Rpal.Hosting;

/// <summary>The programs that one host loads into one address space.</summary>
/// <param name="Members">At least one, at most <see cref="MemberLimit"/>.</param>
public sealed record FamilyDefinition(IReadOnlyList<MemberDefinition> Members)
{
    /// <summary>Most members of a family.</summary>
    public const int MemberLimit = FamilyLayout.MemberCapacity;

    private const int FileBytesLimit = 1 << 20;

    private static readonly JsonSerializerOptions s_json = new()
    {
        PropertyNamingPolicy = JsonNamingPolicy.CamelCase,
        ReadCommentHandling = JsonCommentHandling.Skip,
        AllowTrailingCommas = true,
        UnmappedMemberHandling = JsonUnmappedMemberHandling.Disallow,
        RespectNullableAnnotations = true,
    };

    /// <summary>
    /// Reads <c>family.json</c>:
    /// <code>{ "members": [ { "name": "app", "command": "dotnet", "arguments": ["App.dll"], "environment": { "A": "1" }, "workingDirectory": "." } ] }</code>
    /// Working directories are relative to the file's.
    /// </summary>
    /// <param name="path">The file.</param>
    /// <exception cref="FormatException">The file is not that; says where.</exception>
    /// <exception cref="IOException">It cannot be read.</exception>
    public static FamilyDefinition Load(string path)
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

        FamilyDefinition? family;
        try
        {
            family = JsonSerializer.Deserialize<FamilyDefinition>(File.ReadAllBytes(path), s_json);
        }
        catch (JsonException e)
        {
            throw new FormatException($"{path}: line {e.LineNumber + 1}, {e.Path}: {e.Message.Split(" Path:")[0]}", e);
        }

        if (family?.Members is null)
        {
            throw new FormatException($"{path}: has no \"members\".");
        }

        if (family.Members.Contains(null!))
        {
            throw new FormatException($"{path}: \"members\" contains null.");
        }

        family.Validate(path);
        string directory = System.IO.Path.GetDirectoryName(System.IO.Path.GetFullPath(path))!;
        family = family with
        {
            Members = [.. family.Members.Select(m => m with { WorkingDirectory = System.IO.Path.GetFullPath(m.WorkingDirectory ?? ".", directory) })],
        };
        return family;
    }

    /// <summary>Builds a family from command lines: <c>A ARGS -- B ARGS</c>. Names are the program names, numbered when they repeat.</summary>
    /// <param name="words">The command lines, with <c>--</c> between them.</param>
    /// <exception cref="FormatException">A part is empty, or there are too many.</exception>
    public static FamilyDefinition FromCommandLines(IReadOnlyList<string> words)
    {
        List<List<string>> parts = [[]];
        foreach (string word in words)
        {
            if (word == "--")
            {
                parts.Add([]);
            }
            else
            {
                parts[^1].Add(word);
            }
        }

        if (parts.Any(p => p.Count == 0))
        {
            throw new FormatException("A program is missing: rpal run A ARGS -- B ARGS.");
        }

        string[] names = [.. parts.Select(NameFor)];
        var family = new FamilyDefinition([.. parts.Select((p, i) => new MemberDefinition
        {
            Name = names.Count(n => n == names[i]) == 1 ? names[i] : $"{names[i]}-{names.Take(i + 1).Count(n => n == names[i])}",
            Command = p[0],
            Arguments = p[1..],
        })]);
        family.Validate("rpal run");
        return family;
    }

    /// <summary>Whether the cycles of every call are counted, per sender and service: <c>"accounting": true</c>. <c>rpal bench call</c> says what it costs.</summary>
    public bool Accounting { get; init; }

    /// <summary>The program's name; for <c>dotnet App.dll</c> the assembly's.</summary>
    private static string NameFor(List<string> words)
    {
        string file = System.IO.Path.GetFileName(words[0]);
        string chosen = file == "dotnet" && words.Skip(1).FirstOrDefault(w => w.EndsWith(".dll", StringComparison.Ordinal)) is { } dll ? System.IO.Path.GetFileNameWithoutExtension(dll) : file;
        string name = string.Concat(chosen.Select(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.' ? c : '_'));
        return name.Length == 0 ? "member" : name[..Math.Min(name.Length, MemberDefinition.NameLengthLimit - 3)];
    }

    private void Validate(string source)
    {
        if (Members.Count is 0 or > MemberLimit)
        {
            throw new FormatException($"{source}: {Members.Count} members; a family has 1 to {MemberLimit}.");
        }

        foreach (MemberDefinition m in Members)
        {
            if (m.Name is not { Length: > 0 and <= MemberDefinition.NameLengthLimit } || !m.Name.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.'))
            {
                throw new FormatException($"{source}: member name '{m.Name}': 1 to {MemberDefinition.NameLengthLimit} letters, digits, '-', '_' or '.'.");
            }

            if (string.IsNullOrEmpty(m.Command))
            {
                throw new FormatException($"{source}: member {m.Name} has no command.");
            }

            if (m.Arguments.Contains(null!))
            {
                throw new FormatException($"{source}: member {m.Name}: an argument is null.");
            }

            if (m.Environment.Keys.FirstOrDefault(k => k.Length == 0 || k.Contains('=')) is { } key)
            {
                throw new FormatException($"{source}: member {m.Name}: '{key}' cannot be the name of an environment variable: it is empty or contains '='.");
            }

            string?[] texts = [m.Command, m.WorkingDirectory, .. m.Arguments, .. m.Environment.Keys, .. m.Environment.Values];
            if (texts.Any(t => t?.Contains('\0') == true))
            {
                throw new FormatException($"{source}: member {m.Name}: a command, argument, directory or environment variable contains a zero character.");
            }
        }

        if (Members.GroupBy(m => m.Name).FirstOrDefault(g => g.Count() > 1) is { } twice)
        {
            throw new FormatException($"{source}: two members are named '{twice.Key}'.");
        }
    }
}
