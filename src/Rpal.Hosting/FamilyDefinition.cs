using Rpal.Machine.Blocks;

namespace Rpal.Hosting;

/// <summary>The programs that one host loads into one address space.</summary>
/// <param name="Members">At least one, at most <see cref="MemberLimit"/>.</param>
public sealed record FamilyDefinition(IReadOnlyList<MemberDefinition> Members)
{
    /// <summary>Most members of a family.</summary>
    public const int MemberLimit = FamilyLayout.MemberCapacity;

    /// <summary>What becomes of the members when the host is killed.</summary>
    public HostExitPolicy OnHostExit { get; init; } = HostExitPolicy.Stop;

    /// <summary>
    /// Whether members are traced all their life, so that even a SIGKILL from outside takes no receiver of others with it; every signal
    /// to a traced thread, a lazy switch too, then costs 10 to 70 us more. Not traced, a member whose receiver is lost is started anew.
    /// </summary>
    public bool TraceMembers { get; init; }

    /// <summary>The file it was read from, to be read again when a member is replaced; null for command lines.</summary>
    public string? File { get; init; }

    /// <summary>Reads <c>family.json</c>; the README has its fields. Working directories are relative to the file's.</summary>
    /// <param name="path">The file.</param>
    /// <exception cref="FormatException">The file is not that; says where.</exception>
    /// <exception cref="IOException">It cannot be read.</exception>
    public static FamilyDefinition Load(string path)
    {
        FamilyDefinition family = FamilyFile.Read(path);
        FamilyRules.Check(family, path);
        string directory = Path.GetDirectoryName(Path.GetFullPath(path))!;
        return family with
        {
            File = Path.GetFullPath(path),
            Members = [.. family.Members.Select(m => m with { WorkingDirectory = Path.GetFullPath(m.WorkingDirectory ?? ".", directory) })],
        };
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
        FamilyRules.Check(family, "rpal run");
        return family;
    }

    /// <summary>Whether the cycles of every call are counted, per sender and service: <c>"accounting": true</c>. <c>rpal bench call</c> says what it costs.</summary>
    public bool Accounting { get; init; }

    /// <summary>The program's name; for <c>dotnet App.dll</c> the assembly's.</summary>
    private static string NameFor(List<string> words)
    {
        string file = Path.GetFileName(words[0]);
        string chosen = file == "dotnet" && words.Skip(1).FirstOrDefault(w => w.EndsWith(".dll", StringComparison.Ordinal)) is { } dll ? Path.GetFileNameWithoutExtension(dll) : file;
        string name = string.Concat(chosen.Select(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.' ? c : '_'));
        return name.Length == 0 ? "member" : name[..Math.Min(name.Length, MemberDefinition.NameLengthLimit - 3)];
    }
}
